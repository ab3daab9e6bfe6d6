package vault

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const maxMasterFile = 64 << 10

// LoadMaster reads the master keys from value (PARLEY_MASTER_KEY) or from the
// file at path (PARLEY_MASTER_KEY_FILE); exactly one must be given. The file
// has one key a line, the current one first; lines that begin with # are
// comments. A file that group or others can read or write is refused, as is
// one that is not a regular file (a symbolic link to one is fine). Every
// refusal is a *MasterError with a remedy.
func LoadMaster(value, path string) (*Masters, error) {
	switch {
	case value != "" && path != "":
		return nil, &MasterError{Problem: "given both by value and by file", Remedy: "set only one of PARLEY_MASTER_KEY and PARLEY_MASTER_KEY_FILE"}
	case path != "":
		text, err := readMasterFile(path)
		if err != nil {
			return nil, err
		}
		m, err := ParseMasters(text)
		if refusal := (*MasterError)(nil); errors.As(err, &refusal) {
			refusal.Path = path
		}
		return m, err
	}
	return ParseMasters(value)
}

// CreateMaster makes a new master key in a new file at path, readable by its
// owner alone, and returns it loaded. It returns only once the file would
// survive a power cut, and never overwrites: an existing file fails with
// fs.ErrExist inside the *MasterError. Losing this file is losing everything
// sealed; it is backed up apart from the database.
func CreateMaster(path string) (*Masters, error) {
	line := "# Parley master key. Back it up apart from the database; without it nothing opens.\n" + newMasterLine()
	if err := publish(path, line); err != nil {
		return nil, &MasterError{Path: path, Problem: "cannot create", Err: err}
	}
	return LoadMaster("", path)
}

// publish makes a file that is whole from the first moment it is there: a start
// that was cut off leaves none. It writes over nothing.
func publish(path, text string) error {
	if _, err := os.Lstat(path); err == nil {
		return &os.PathError{Op: "create", Path: path, Err: os.ErrExist}
	}
	part := path + "." + rand.Text()
	if err := writeSynced(part, text); err != nil {
		return err
	}
	err := os.Link(part, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) {
		// A file system without links: renaming is as whole, and two starts at
		// once are the operator's to avoid there.
		err = os.Rename(part, path)
		return errors.Join(err, syncDir(path))
	}
	return errors.Join(err, os.Remove(part), syncDir(path))
}

// RotateMaster puts a new key before those in the file at path, by writing a
// new file and renaming it over the old one, and returns all of them loaded.
// It suits one node. With several, give every node the new key in second place
// first (it then only unwraps), and move it to the first place in a second
// round, so that no node meets a key it cannot unwrap.
func RotateMaster(path string) (*Masters, error) {
	text, err := readMasterFile(path)
	if err != nil {
		return nil, err
	}
	if _, err := ParseMasters(text); err != nil {
		return nil, err
	}
	next := path + ".new"
	if err := writeSynced(next, newMasterLine()+text); err != nil {
		return nil, &MasterError{Path: next, Problem: "cannot create", Err: err, Remedy: "remove the file if an earlier rotation was cut short"}
	}
	if err := os.Rename(next, path); err != nil {
		return nil, &MasterError{Path: path, Problem: "cannot replace", Err: err}
	}
	if err := syncDir(path); err != nil {
		return nil, &MasterError{Path: path, Problem: "cannot make the new file durable", Err: err}
	}
	return LoadMaster("", path)
}

func newMasterLine() string {
	key := newKey()
	defer clear(key[:])
	return base64.StdEncoding.EncodeToString(key[:]) + "\n"
}

func readMasterFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &MasterError{Path: path, Problem: "cannot open", Err: err}
	}
	defer f.Close()
	// The open file is asked, not the path, so that nobody can swap it between.
	info, err := f.Stat()
	if err != nil {
		return "", &MasterError{Path: path, Problem: "cannot stat", Err: err}
	}
	if !info.Mode().IsRegular() {
		return "", &MasterError{Path: path, Problem: "not a regular file"}
	}
	// Windows has no such bits; there the folder's access list protects it.
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return "", &MasterError{
			Path: path, Problem: "others than its owner may use it (mode " + perm.String() + ")",
			Remedy: "chmod 600; for a container secret set its mode to 0400",
		}
	}
	var keys strings.Builder
	lines := bufio.NewScanner(io.LimitReader(f, maxMasterFile))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); !strings.HasPrefix(line, "#") {
			keys.WriteString(line + "\n")
		}
	}
	if err := lines.Err(); err != nil {
		return "", &MasterError{Path: path, Problem: "cannot read", Err: err}
	}
	return keys.String(), nil
}

// writeSynced creates a file that did not exist and makes it durable.
func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		return syncDir(path)
	}
	return errors.Join(err, os.Remove(path))
}

// syncDir makes the name of path durable. File systems that cannot sync a
// folder say so with ErrInvalid; there is nothing more to do then.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = dir.Sync()
	if runtime.GOOS == "windows" || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}
