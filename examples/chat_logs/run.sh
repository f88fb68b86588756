#!/usr/bin/env bash
# Coach an app that is already in service, from its chat logs: the chats become scenarios, the app stays
# as it is and is the student.
#
#   bash examples/chat_logs/run.sh ./firm                       # the embedded model plays all
#   bash examples/chat_logs/run.sh ./firm openai:gpt-5-mini     # customers, judge and teacher
#   APP=app:examples/pytest_app/app.py:answer bash examples/chat_logs/run.sh ./firm openai:gpt-5-mini
#
# Names, numbers and codes are masked before anything is written; look the result over all the same.
set -euo pipefail
here=$(dirname "$0")
firm=${1:?name the folder to make, for example ./firm}
model=${2:-local:qwen2.5-coder-1.5b}
app=${APP:-$model}

# 1. Scenarios, states to go on from and personas out of the chats; policy and rubric of a firm you have.
tutelage env import chats "$here/chats.jsonl" --out "$firm" --env airline
tutelage env validate "$firm"

# 2. The app is coached on what its own customers brought.
tutelage coach "$firm" --rounds 1 --dialogues 2 --validation 0 --states 1 --exchanges 2 --pairs 6 \
    --refinements 0 --student "$app" --customer "$model" --judge "$model" --teacher "$model" \
    --run "$firm/runs/coached"

# 3. What was learned, for people to read and approve.
tutelage library list "$firm/runs/coached/library.db"
