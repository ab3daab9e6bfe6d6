//go:build !darwin && !freebsd && !linux

package main

import "errors"

// diskFree is not told on this system.
func diskFree(string) (uint64, error) { return 0, errors.ErrUnsupported }
