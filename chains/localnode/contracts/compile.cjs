// Writes NAME.hex for every NAME.sol beside this file:
//   npm install --prefix DIR solc@0.8.37 && NODE_PATH=DIR/node_modules node compile.cjs
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const sources = {};
for (const file of fs.readdirSync(__dirname).filter((f) => f.endsWith(".sol"))) {
  sources[file] = { content: fs.readFileSync(path.join(__dirname, file), "utf8") };
}
const settings = {
  evmVersion: "paris",
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
};
const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
for (const e of output.errors || []) console.error(e.formattedMessage);
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    fs.writeFileSync(path.join(__dirname, name + ".hex"), contract.evm.bytecode.object + "\n");
  }
}
