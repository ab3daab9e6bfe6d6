// Package story tells what Parley is for as one scripted test: the real binary
// in an empty folder, the sandbox in place of WhatsApp and of an operator, and
// nothing but the command line and HTTP to look in from outside.
//
// It tests no part alone. Start with TestStory in story_test.go; its tools are
// in tools_test.go.
package story
