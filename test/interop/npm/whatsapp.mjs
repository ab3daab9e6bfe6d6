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
  carousel: () => {
    const card = (price, tail) => new m.CarouselCard(new m.Image("https://example.com/city.png"), new m.BodyComponent(new m.BodyParameter(price)), new m.PayloadComponent(`more-${tail}`), new m.URLComponent(tail));
    return new m.Template("city_breaks", "en_US", new m.BodyComponent(new m.BodyParameter("Ada")), new m.CarouselComponent(card("99 €", "lisbon"), card("89 €", "porto")));
  },
  products: () => {
    const card = (id) => new m.CarouselCard(new m.CatalogProduct(id, "194836987003835"));
    return new m.Template("new_arrivals", "en_US", new m.BodyComponent(new m.BodyParameter("Ada")), new m.CarouselComponent(card("p1"), card("p2"), card("p3")));
  },
  offer: () => new m.Template("last_minute", "en_US", new m.HeaderComponent(new m.HeaderParameter(new m.Video("https://example.com/v.mp4"))), new m.BodyComponent(new m.BodyParameter("Ada")),
    new m.LTOComponent(Date.UTC(2036, 0, 1)), new m.CopyComponent("CARIBE25"), new m.URLComponent("n3mtql")),
  catalogue: () => new m.Template("shop_window", "en_US", new m.CatalogComponent(new m.Product("p1"))),
  list_of_products: () => new m.Template("forgotten_cart", "en_US", new m.HeaderComponent(new m.HeaderParameter("Ada")), new m.MPMComponent(new m.Product("p1"), new m.ProductSection("Your cart", new m.Product("p1"), new m.Product("p2")))),
  product: () => new m.Template("forgotten_item", "en_US", new m.HeaderComponent(new m.HeaderParameter(new m.CatalogProduct("p1", "194836987003835"))), new m.BodyComponent(new m.BodyParameter("25OFF"))),
  map: () => new m.Template("gate_map", "en_US", new m.HeaderComponent(new m.HeaderParameter(new m.Location(2.54, 49, "CDG", "Roissy"))), new m.BodyComponent(new m.BodyParameter("AF1234"))),
  flow: () => new m.Template("flight_news", "en_US", new m.HeaderComponent(new m.HeaderParameter("AF1234", "flight")), new m.BodyComponent(new m.BodyParameter("10:05", "time")), new m.FlowComponent("token", { screen: "SEAT" })),
  code: () => m.Template.OTP("login_code", "en_US", "123456"),
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
