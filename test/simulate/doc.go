// Package simulate lives months of traffic in seconds: the real engine on a
// real SQLite file, the sandbox's WhatsApp and SMSC behind connections that
// never leave the process, and a clock that jumps from one deadline to the
// next. A seed decides who writes what to whom, which faults are played, when
// phones are off, when the node dies and when its clock is set wrong.
//
// Goroutines are not simulated: a seed replays the story, not the order of two
// things that happen at one moment. testing/synctest is not used because the
// store's file and the sockets stand outside its bubble.
//
// Start with TestSimulation; a failure says how to run its seed again.
package simulate
