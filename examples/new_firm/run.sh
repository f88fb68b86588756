#!/usr/bin/env bash
# A firm of your own in ten minutes: make it, write one scenario, let customers come, coach the student.
#
#   bash examples/new_firm/run.sh ./bakery                        # the embedded model plays all
#   bash examples/new_firm/run.sh ./bakery openai:gpt-5-mini      # any other model
#
# The folder is yours to edit afterwards: its comments teach the main fields.
set -euo pipefail
firm=${1:?name the folder to make, for example ./bakery}
model=${2:-local:qwen2.5-coder-1.5b}

# 1. A small valid firm: policy, personas, scenarios, handbook.
tutelage env new bakery --out "$firm"

# 2. One scenario more, in your own words. `situation`, `goal` and `facts` are the customer's, `records`
#    is what the agent's screen shows, `expected` is for the judge.
cat > "$firm/scenarios/cake_for_sunday.yaml" <<'YAML'
id: cake_for_sunday
title: A cake for Sunday
topic: orders
situation: The customer ordered a birthday cake for Sunday and has heard nothing since.
goal: to know whether the cake comes on Sunday
facts: {order: B-2207, name on the cake: Mila}
opening: Is my cake for Sunday coming or not? Nobody writes back.
records: {B-2207: "birthday cake, baked Saturday evening, delivery Sunday 9 to 11"}
expected: Says that it is sorry for the silence and that the cake comes on Sunday between 9 and 11.
rubric:
  - {id: names_the_time, kind: regex, scope: dialogue, pattern: '9.{0,12}11', note: names the time}
YAML
sed -i.bak 's/train: \[/train: [cake_for_sunday, /' "$firm/environment.yaml" && rm "$firm/environment.yaml.bak"

# 3. Every mistake is named with file, line and field.
tutelage env validate "$firm"

# 4. Customers come.
tutelage simulate "$firm" --scenario cake_for_sunday --dialogues 1 --exchanges 2 \
    --student "$model" --customer "$model" --judge "$model" --run "$firm/runs/simulated"

# 5. The student is coached; what helps goes into a library, as proposed.
tutelage coach "$firm" --rounds 1 --dialogues 2 --validation 1 --states 1 --exchanges 2 --pairs 6 \
    --refinements 0 --student "$model" --customer "$model" --judge "$model" --teacher "$model" \
    --run "$firm/runs/coached"

# 6. Read it; nothing is used in production before you approve it.
tutelage library list "$firm/runs/coached/library.db"
