// One JSON object a line: orders come in, news goes out.
import readline from "node:readline";

export const tell = (is, more = {}) => process.stdout.write(JSON.stringify({ is, ...more }) + "\n");

export function orders(table) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const order = JSON.parse(line);
    try {
      tell("done", { of: order.do, result: await table[order.do](order) });
    } catch (e) {
      tell("failed", { of: order.do, error: String(e) });
    }
  });
  lines.on("close", () => process.exit(0));
}
