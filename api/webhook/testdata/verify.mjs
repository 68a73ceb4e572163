// verify.mjs FOLDER: reads deliveries, a JSON object on each line with secret,
// headers and body (in base64), and answers each with a line: ok, or why not.
// FOLDER holds the libraries.
import { createInterface } from "node:readline";
import { join } from "node:path";

const [folder] = process.argv.slice(2);
const entry = (...path) => import(join(folder, "node_modules", ...path));
const standard = await entry("standardwebhooks", "dist", "index.js");
const svix = await entry("svix", "dist", "index.mjs");

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  const text = Buffer.from(body, "base64").toString();
  let verdict = "ok";
  for (const [name, library] of [["standardwebhooks", standard.default ?? standard], ["svix", svix]]) {
    try {
      new library.Webhook(secret).verify(text, headers);
    } catch (fault) {
      verdict = `${name}: ${fault}`;
    }
  }
  console.log(verdict);
}
