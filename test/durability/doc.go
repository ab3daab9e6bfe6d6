// Package durability watches the system calls of the real program: a kill is
// no power cut, so the flush to the disk is asserted and not believed.
//
// It wants strace. Start with TestFlushBeforeAnswer.
package durability
