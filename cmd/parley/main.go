// Command parley is Parley: the server, its demo, its sandbox and the tools of
// the people who run it and write to it.
//
// Each subcommand is one file and one struct, whose tags are its help. Start
// with demo.go and serve.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	_ "time/tzdata" // scratch images have no zones

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// version is set by the linker.
var version = "dev"

// cli is every subcommand.
type cli struct {
	Config  kong.ConfigFlag  `help:"Configuration file (YAML): the flags' names and values."`
	Version kong.VersionFlag `help:"Print the version."`

	Demo    demoCmd    `cmd:"" help:"Run a server and a sandbox together, ready to try."`
	Serve   serveCmd   `cmd:"" help:"Run a server."`
	Sandbox sandboxCmd `cmd:"" help:"Run the sandbox, or steer a running one: handsets, replies, faults, the clock."`
	Migrate migrateCmd `cmd:"" help:"Bring the database's schema forward."`
	Send    sendCmd    `cmd:"" help:"Send a message."`
	Tail    tailCmd    `cmd:"" help:"Watch events as they happen."`
	Audit   auditCmd   `cmd:"" help:"Balance the books of the database."`
	Keys    keysCmd    `cmd:"" help:"Make, show and rotate keys."`
	Backup  backupCmd  `cmd:"" help:"Write a consistent copy of an SQLite database while it runs."`
	Restore restoreCmd `cmd:"" help:"Put a copy back and raise the log's epoch."`
	Doctor  doctorCmd  `cmd:"" help:"Check a deployment and say what to do next."`
	Bench   benchCmd   `cmd:"" help:"Measure the durable life of a message."`
}

func main() {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("parley"),
		kong.Description("Parley carries the conversation between a brand and a person over every channel the person uses."),
		kong.ShortUsageOnError(),
		kong.Configuration(yamlConfig, configPaths()...),
		kong.Vars{"version": version},
	)
	if err != nil {
		fail(err)
	}
	k, err := parser.Parse(os.Args[1:])
	if err != nil {
		parser.FatalIfErrorf(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		stop()
		fail(err)
	}
}

// configPaths are the files read when none is named.
func configPaths() []string {
	paths := []string{"parley.yaml"}
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "parley", "parley.yaml"))
	}
	return paths
}

// An exit carries a status without a message: what was wrong has been told.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func fail(err error) {
	var e exit
	if errors.As(err, &e) {
		os.Exit(int(e))
	}
	fmt.Fprintln(os.Stderr, "parley:", said(err))
	os.Exit(1)
}

// logger writes to stderr: for people on a terminal, JSON elsewhere.
func logger(level slog.Level, format string) *slog.Logger {
	if format == "" {
		format = "json"
		if term.IsTerminal(int(os.Stderr.Fd())) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{Level: level, TimeFormat: "15:04:05.000", NoColor: !term.IsTerminal(int(os.Stderr.Fd()))}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
