// Package smpp speaks SMPP 3.4, and tolerates 5.0: the protocol by which short
// messages reach an SMSC.
//
// It holds the PDU codec ([Decode], [PDU.Append]), sessions for both ends of a
// link ([Dial] for the ESME, [Server] for the SMSC; both work with [Session]),
// delivery receipts ([ParseReceipt]) and the two time formats.
//
// It is not a channel: it does not reconnect, retry, pace or store, and knows
// nothing of the program around it. What characters mean and how text is split
// is in the package smpp/gsm.
//
// Start with [Session] and, for the wire, with [PDU].
//
// The source is the "Short Message Peer to Peer Protocol Specification v3.4",
// issue 1.2, and where marked 5.0 the "v5.0" one.
package smpp
