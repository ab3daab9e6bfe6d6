// npm jose on both ends of payload encryption: as a business of the Cloud API
// at URL, and as a Cloud API of its own. node jose.mjs URL TOKEN
import http from "node:http";
import { generateKeyPairSync, createPublicKey, createPrivateKey } from "node:crypto";
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from "jose";
import { orders, tell } from "./lines.mjs";

const [base, token] = process.argv.slice(2);
const pair = () => generateKeyPairSync("rsa", { modulusLength: 2048, publicKeyEncoding: { type: "spki", format: "pem" }, privateKeyEncoding: { type: "pkcs8", format: "pem" } });
const ours = pair();
const encrypt = (key, enc, text) => new CompactEncrypt(new TextEncoder().encode(text)).setProtectedHeader({ alg: "RSA-OAEP", enc }).encrypt(key);
const open = async (key, jwe) => new TextDecoder().decode((await compactDecrypt(jwe, key)).plaintext);

const call = async (path, body) => {
  const r = await fetch(base + path, { method: body ? "POST" : "GET", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  return { status: r.status, body: await r.json() };
};

// The other way round: a cloud of jose's for a business of ours.
let client;
const cloud = http.createServer((req, res) => {
  let raw = "";
  req.on("data", (c) => (raw += c));
  req.on("end", async () => {
    const body = raw ? JSON.parse(raw) : {};
    res.setHeader("Content-Type", "application/json");
    if (req.url.endsWith("/settings")) {
      if (req.method === "POST") {
        client = createPublicKey(Buffer.from(body.payload_encryption.client_encryption_key, "base64").toString());
        res.end('{"success":true}');
        return;
      }
      res.end(JSON.stringify({ payload_encryption: { status: "enabled", cloud_encryption_key: Buffer.from(ours.publicKey).toString("base64") } }));
      return;
    }
    const text = await open(createPrivateKey(ours.privateKey), body.encrypted_contents);
    tell("opened", { header: decodeProtectedHeader(body.encrypted_contents), body: JSON.parse(text) });
    const answer = { messaging_product: "whatsapp", contacts: [{ input: "33612345678", wa_id: "33612345678" }], messages: [{ id: "wamid.JOSE" }] };
    res.end(JSON.stringify({ encrypted_contents: await encrypt(client, "A256GCM", JSON.stringify(answer)) }));
  });
});

orders({
  register: async ({ phone }) => {
    await call(`/v23.0/${phone}/settings`, { payload_encryption: { status: "enabled", client_encryption_key: Buffer.from(ours.publicKey).toString("base64") } });
    return (await call(`/v23.0/${phone}/settings`)).body.payload_encryption;
  },
  send: async ({ phone, key, enc, body }) => {
    const contents = await encrypt(createPublicKey(Buffer.from(key, "base64").toString()), enc, JSON.stringify(body));
    const answer = await call(`/v23.0/${phone}/messages_encrypted`, { messaging_product: "whatsapp", encrypted_contents: contents });
    if (answer.status !== 200) return answer;
    return { status: 200, header: decodeProtectedHeader(answer.body.encrypted_contents), body: JSON.parse(await open(createPrivateKey(ours.privateKey), answer.body.encrypted_contents)) };
  },
});
cloud.listen(0, "127.0.0.1", () => tell("listening", { port: cloud.address().port }));
