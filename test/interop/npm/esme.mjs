// npm smpp as a customer of an SMSC: node esme.mjs PORT
import smpp from "smpp";
import { orders, tell } from "./lines.mjs";

// Left alone, npm smpp sends GSM octets as data_coding 1, which is ASCII.
const coding = (text) => (smpp.encodings.ASCII.match(text) ? 0 : 8);

const session = smpp.connect({ host: "127.0.0.1", port: Number(process.argv[2]) }, () => tell("connected"));
session.on("error", (e) => tell("error", { error: String(e) }));
session.on("close", () => tell("closed"));
session.on("enquire_link", (pdu) => session.send(pdu.response()));
session.on("unbind", (pdu) => { session.send(pdu.response()); tell("unbound"); });
session.on("deliver_sm", (pdu) => {
  session.send(pdu.response());
  tell("deliver", {
    from: pdu.source_addr, to: pdu.destination_addr, esm: pdu.esm_class, text: pdu.short_message.message,
    udh: pdu.short_message.udh?.length ?? 0, id: pdu.receipted_message_id, state: pdu.message_state, coding: pdu.data_coding,
  });
});

const ask = (command, fields) => new Promise((done) => session[command](fields, (a) =>
  done({ command: a.command, status: a.command_status, id: a.message_id ?? "", system_id: a.system_id ?? "" })));

orders({
  bind: ({ password }) => ask("bind_transceiver", { system_id: "parley", password, interface_version: 0x34 }),
  submit: ({ to, text }) => ask("submit_sm", { source_addr: "Node", source_addr_ton: 5, destination_addr: to, dest_addr_ton: 1, dest_addr_npi: 1, registered_delivery: 1, data_coding: coding(text), short_message: text }),
  submit_long: ({ to, pieces }) => Promise.all(pieces.map((piece, i) => ask("submit_sm", {
    source_addr: "Node", source_addr_ton: 5, destination_addr: to, dest_addr_ton: 1, dest_addr_npi: 1, registered_delivery: 1, esm_class: 0x40, data_coding: 8,
    short_message: { udh: Buffer.from([5, 0, 3, 9, pieces.length, i + 1]), message: piece },
  }))),
  payload: ({ to, text }) => ask("submit_sm", { source_addr: "Node", source_addr_ton: 5, destination_addr: to, dest_addr_ton: 1, dest_addr_npi: 1, data_coding: 8, short_message: "", message_payload: text }),
  enquire: () => ask("enquire_link", {}),
  query: () => ask("query_sm", { message_id: "1", source_addr: "Node" }),
  unbind: () => ask("unbind", {}),
});
