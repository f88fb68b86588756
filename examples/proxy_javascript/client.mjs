// An app in JavaScript, coached through the proxy: only its base URL changed.
//
//   tutelage serve library.db --model openai:gpt-5-mini
//   npm install && OPENAI_BASE_URL=http://127.0.0.1:8377/v1 node client.mjs gpt-5-mini "My flight was cancelled"
import OpenAI from "openai";

const [model, question] = process.argv.slice(2);
const client = new OpenAI(); // reads OPENAI_BASE_URL and OPENAI_API_KEY

const messages = [{ role: "user", content: question }];
const whole = await client.chat.completions.create({ model, messages });
console.log(whole.choices[0].message.content);

const stream = await client.chat.completions.create({ model, messages, stream: true });
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
