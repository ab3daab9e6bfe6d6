// npm smpp as an operator's SMSC.
import smpp from "smpp";
import { orders, tell } from "./lines.mjs";

// Left alone, npm smpp sends GSM octets as data_coding 1, which is ASCII.
const coding = (text) => (smpp.encodings.ASCII.match(text) ? 0 : 8);

let session;
let next = 0xabc000;
const parts = new Map();

const server = smpp.createServer((s) => {
  s.on("error", (e) => tell("error", { error: String(e) }));
  for (const mode of ["transceiver", "transmitter", "receiver"]) {
    s.on(`bind_${mode}`, (pdu) => {
      if (pdu.system_id !== "parley" || pdu.password !== "sandbox") {
        s.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
        s.close();
        return;
      }
      if (mode !== "transmitter") session = s;
      s.send(pdu.response({ system_id: "node" }));
      tell("bound", { version: pdu.interface_version, mode });
    });
  }
  s.on("enquire_link", (pdu) => {
    s.send(pdu.response());
    tell("enquired");
  });
  s.on("unbind", (pdu) => {
    s.send(pdu.response());
    s.close();
    tell("unbound");
  });
  s.on("submit_sm", (pdu) => submit(s, pdu));
});

let refusals = []; // statuses for the next submits
function submit(s, pdu) {
  if (refusals.length) return s.send(pdu.response({ command_status: refusals.shift() }));
  const id = (next++).toString(16);
  s.send(pdu.response({ message_id: id }));
  const body = pdu.short_message.message?.length ? pdu.short_message : { ...pdu.short_message, ...pdu.message_payload };
  let text = body.message;
  const seen = { from: pdu.source_addr, to: pdu.destination_addr, coding: pdu.data_coding, ton: pdu.dest_addr_ton, id };
  let ref, total, at;
  for (const element of body.udh ?? []) {
    if (element[0] === 0) [ref, total, at] = [element[2], element[3], element[4]];
    if (element[0] === 8) [ref, total, at] = [element.readUInt16BE(2), element[4], element[5]];
  }
  if (pdu.sar_total_segments) [ref, total, at] = [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum];
  if (pdu.registered_delivery & 1) {
    session.deliver_sm({
      source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4,
      receipted_message_id: id, message_state: 2,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD err:000 text:`,
    }, (answer) => tell("receipt_taken", { status: answer.command_status }));
  }
  if (total === undefined) return tell("text", { ...seen, text, parts: 1 });
  const key = `${pdu.destination_addr} ${ref}`;
  const list = parts.get(key) ?? [];
  list[at - 1] = text;
  parts.set(key, list);
  if (list.filter((p) => p !== undefined).length === total) {
    parts.delete(key);
    tell("text", { ...seen, text: list.join(""), parts: total });
  }
}

const deliver = (pdu) => new Promise((done) => session.deliver_sm(pdu, (a) => done(a.command_status)));

orders({
  write: ({ from, to, text }) => deliver({ source_addr: from, destination_addr: to, data_coding: coding(text), short_message: text }),
  write_long: async ({ from, to, pieces }) => {
    const all = pieces.map((piece, i) => deliver({
      source_addr: from, destination_addr: to, esm_class: 0x40, data_coding: 8,
      short_message: { udh: Buffer.from([5, 0, 3, 77, pieces.length, i + 1]), message: piece },
    }));
    return Promise.all(all);
  },
  write_octets: ({ from, to, coding: data_coding, udh, hex }) => deliver({
    source_addr: from, destination_addr: to, data_coding, esm_class: udh ? 0x40 : 0,
    short_message: udh ? { udh: Buffer.from(udh, "hex"), message: Buffer.from(hex, "hex") } : Buffer.from(hex, "hex"),
  }),
  refuse: ({ statuses }) => { refusals = statuses; return 0; },
  enquire: () => new Promise((done) => session.enquire_link((a) => done(a.command_status))),
  unbind: () => new Promise((done) => session.unbind((a) => { done(a.command_status); session.close(); })),
});

server.listen(0, "127.0.0.1", () => tell("listening", { port: server.address().port }));
