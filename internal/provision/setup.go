package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// SetupOptions changes what Setup does; the zero value is the usual thing.
type SetupOptions struct {
	Cache     string    // the folder to fill; "" is CacheDir()
	Libraries []Library // what to fetch; nil is everything
	Client    string    // "pip" or "npm" forbids the other; "" takes whichever works, pip first
}

// Setup fetches the pinned libraries for this machine into the cache folder, with pip or
// npm, and says on w what it does. Archives and the libraries in them are checked against
// known SHA-256 sums; a library that is there already and intact is left alone. A library
// appears under its name only when it is complete, so an interrupted Setup leaves none behind.
//
// OpenBLAS comes with pip only. A machine that has only npm gets ONNX Runtime and a
// remark: everything works without OpenBLAS, more slowly.
func Setup(ctx context.Context, w io.Writer, o SetupOptions) error {
	cache := o.Cache
	if cache == "" {
		var err error
		if cache, err = CacheDir(); err != nil {
			return err
		}
	}
	libs := o.Libraries
	if libs == nil {
		libs = Libraries()
	}
	if o.Client != "" && o.Client != string(pip) && o.Client != string(npm) {
		return fmt.Errorf("unknown package client %q: wanted pip or npm", o.Client)
	}
	s := setup{
		w: w, cache: cache, only: client(o.Client), ways: map[client]way{},
		pins: func(lib Library) []pin { return pinsFor(lib, runtime.GOOS, runtime.GOARCH) },
	}
	return s.run(ctx, libs)
}

// way is a client as found, or why it was not; asked once a Setup.
type way struct {
	command command
	err     error
}

type setup struct {
	w     io.Writer
	cache string
	only  client
	ways  map[client]way
	pins  func(Library) []pin // for this machine
}

func (s *setup) say(format string, args ...any) { _, _ = fmt.Fprintf(s.w, format+"\n", args...) }

func (s *setup) run(ctx context.Context, libs []Library) error {
	var errs []error
	for _, lib := range libs {
		if err := s.provide(ctx, lib); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs = append(errs, fmt.Errorf("%s: %w", lib, err))
		}
	}
	return errors.Join(errs...)
}

// provide makes sure that one library is in the cache.
func (s *setup) provide(ctx context.Context, lib Library) error {
	pins := s.pins(lib)
	if len(pins) == 0 {
		if found, _, err := Find(lib, ""); err == nil {
			s.say("%s is there: %s (%s)", lib, found.Path, found.Source)
			return nil
		}
		return fmt.Errorf("no package is published for %s/%s; instead: %s", runtime.GOOS, runtime.GOARCH, Mend(lib))
	}
	for _, p := range pins {
		if target := p.cached(s.cache); checkSum(target, p.file) == nil {
			s.say("%s %s is there: %s", lib, p.version, target)
			return nil
		}
	}
	var errs []error
	tried := false
	for _, p := range pins {
		c, err := s.client(ctx, p.client)
		if err == nil {
			tried = true
			s.say("%s %s: fetching with %s", lib, p.version, c)
			var target string
			if target, err = s.fetch(ctx, p, c); err == nil {
				s.say("%s %s: %s", lib, p.version, target)
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, err)
	}
	switch {
	case tried:
		errs = append(errs, fmt.Errorf("without a network, copy the library to this machine and set %s to its path", lib.Env()))
	case lib == OpenBLAS && s.cachedAny(ONNXRuntime):
		s.say("%s left out: only pip has it, and pip does not work here. Dense algebra runs in Go, correct but slower.", lib)
		return nil
	default:
		errs = append(errs, fmt.Errorf("to mend this: %s", Mend(lib)))
	}
	return errors.Join(errs...)
}

// client returns how to call a package client, or why it cannot be called.
func (s *setup) client(ctx context.Context, c client) (command, error) {
	if s.only != "" && c != s.only {
		return command{}, fmt.Errorf("%s was ruled out: only %s was asked for", c, s.only)
	}
	if _, asked := s.ways[c]; !asked {
		found, err := findClient(ctx, c, os.Getenv)
		if err != nil {
			err = fmt.Errorf("%s does not work here: %w", c, err)
		}
		s.ways[c] = way{found, err}
	}
	return s.ways[c].command, s.ways[c].err
}

func (s *setup) cachedAny(lib Library) bool {
	return slices.ContainsFunc(s.pins(lib), func(p pin) bool { return isFile(p.cached(s.cache)) })
}

// fetch downloads a pin, checks it twice and moves the library into its place.
func (s *setup) fetch(ctx context.Context, p pin, c command) (string, error) {
	target := p.cached(s.cache)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(s.cache, "setup-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	archive, err := c.fetch(ctx, p, work)
	if err != nil {
		return "", err
	}
	if err := checkSum(archive, p.archive); err != nil {
		return "", fmt.Errorf("the package that came is not the one wanted: %w", err)
	}
	file := filepath.Join(work, "library")
	if err := extract(archive, p.member, file); err != nil {
		return "", err
	}
	if err := checkSum(file, p.file); err != nil {
		return "", fmt.Errorf("the library in the package is not the one wanted: %w", err)
	}
	if err := os.Rename(file, target); err != nil {
		return "", fmt.Errorf("%w (is a program using the library?)", err)
	}
	return target, nil
}
