package crashpoint

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// TestAt runs this test binary again with a point armed: it must die at the
// second passage of that point and of no other.
func TestAt(t *testing.T) {
	if os.Getenv("CRASHPOINT_CHILD") != "" {
		At("other")
		At("here")
		if _, err := os.Stdout.WriteString("first passed\n"); err != nil {
			t.Fatal(err)
		}
		At("here")
		os.Exit(3)
	}
	for _, c := range []struct {
		armed  string
		killed bool
		out    string
	}{
		{"here:2", true, "first passed\n"},
		{"here", true, ""},
		{"elsewhere", false, "first passed\n"},
		{"", false, "first passed\n"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAt$")
		cmd.Env = append(os.Environ(), "CRASHPOINT_CHILD=1", Variable+"="+c.armed)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%q: the child ended with %v", c.armed, err)
		}
		if killed := exit.ExitCode() != 3; killed != c.killed || string(out) != c.out {
			t.Errorf("%q: killed %v, it wrote %q", c.armed, killed, out)
		}
	}
}
