// npm whatsapp-api-js as a business on the Cloud API: node whatsapp.mjs URL TOKEN SECRET VERIFY
import http from "node:http";
import { WhatsAppAPI } from "whatsapp-api-js";
import * as m from "whatsapp-api-js/messages";
import { orders, tell } from "./lines.mjs";

const [base, token, appSecret, webhookVerifyToken] = process.argv.slice(2);
const api = new WhatsAppAPI({
  token, appSecret, webhookVerifyToken, v: "v23.0",
  ponyfill: { fetch: (url, options) => fetch(String(url).replace("https://graph.facebook.com", base), options), subtle: crypto.subtle },
});
api.on.message = ({ from, message, name, phoneID }) => tell("message", { from, name, phone: phoneID, message });
api.on.status = ({ id, status, phone, biz_opaque_callback_data }) => tell("status", { id, status, phone, echo: biz_opaque_callback_data });

const hook = http.createServer((req, res) => {
  let raw = "";
  req.setEncoding("utf8");
  req.on("data", (c) => (raw += c));
  req.on("end", async () => {
    try {
      if (req.method === "GET") {
        res.end(api.get(Object.fromEntries(new URL(req.url, "http://x").searchParams)));
        return;
      }
      await api.post(JSON.parse(raw), raw, req.headers["x-hub-signature-256"]);
      const forged = await api.verifyRequestSignature(raw + " ", req.headers["x-hub-signature-256"]);
      if (forged) tell("error", { error: "a changed body passed" });
      res.end();
    } catch (e) {
      tell("error", { error: String(e) });
      res.statusCode = 500;
      res.end();
    }
  });
});

const content = {
  text: () => new m.Text("ça marche 👩‍👩‍👧 {€}", true),
  image: ({ id }) => new m.Image(id, true, "une légende"),
  document: ({ id }) => new m.Document(id, true, "la facture", "facture.pdf"),
  location: () => new m.Location(2.29, 48.85, "Tour Eiffel", "Paris"),
  reaction: ({ target }) => new m.Reaction(target, "👍"),
  buttons: () => new m.Interactive(new m.ActionButtons(new m.Button("yes", "Oui"), new m.Button("no", "Non")), new m.Body("On y va ?"), new m.Header("Demande"), new m.Footer("Parley")),
  list: () => new m.Interactive(new m.ActionList("Choisir", new m.ListSection("Heures", new m.Row("9", "9 h", "tôt"), new m.Row("14", "14 h"))), new m.Body("Quand ?")),
  cta: () => new m.Interactive(new m.ActionCTA("Voir", "https://example.com/a"), new m.Body("Votre commande")),
  place: () => new m.Interactive(new m.ActionLocation(), new m.Body("Où êtes-vous ?")),
  template: () => new m.Template("order_update", "en_US", new m.BodyComponent(new m.BodyParameter("Ada"), new m.BodyParameter("A-42"))),
};

orders({
  send: ({ kind, phone, to, echo, ...more }) => api.sendMessage(phone, to, content[kind](more), more.context, echo),
  upload: async ({ phone, type, size }) => {
    const form = new FormData();
    form.set("file", new Blob([new Uint8Array(size).fill(7)], { type }), "file");
    return api.uploadMedia(phone, form);
  },
  media: async ({ id }) => {
    const found = await api.retrieveMedia(id);
    const bytes = await (await api.fetchMedia(found.url)).arrayBuffer();
    return { size: bytes.byteLength, type: found.mime_type };
  },
  remove: ({ id }) => api.deleteMedia(id),
  read: ({ phone, id }) => api.markAsRead(phone, id, "text"),
});
hook.listen(0, "127.0.0.1", () => tell("listening", { port: hook.address().port }));
