//go:build darwin || freebsd || linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// diskFree gives the bytes an ordinary user may still write where path is, or
// would be.
func diskFree(path string) (uint64, error) {
	for {
		var s syscall.Statfs_t
		err := syscall.Statfs(path, &s)
		if err == nil {
			return uint64(s.Bavail) * uint64(s.Bsize), nil //nolint:gosec // neither is below zero where files are
		}
		parent := filepath.Dir(path)
		if !errors.Is(err, os.ErrNotExist) || parent == path {
			return 0, err
		}
		path = parent
	}
}
