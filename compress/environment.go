package compress

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// EnvironmentOptions say where work is done, and who is told. Nothing of it decides on a result, but for
// whether ONNX Runtime is there.
type EnvironmentOptions struct {
	// Runtime is the path of ONNX Runtime's shared library; empty means to look in the usual places.
	Runtime string
	// Threads is how many batches, or sites, are worked on side by side; default: all processors.
	Threads int
	// Memory, when set, has Go collect garbage sooner as the process comes near three quarters of so many bytes, until the
	// environment is closed. Of several such environments the last that was opened is to be closed first.
	Memory int64
	// Progress, when set, is told that a stage begins, and where there is something to count how far it is. The stages of Run are
	// analyse, calibrate, factor, search, correct (and search again), refit, rewrite, tune, write, verify and time, as far as a
	// run has them; behind the name of tune stands, after a colon, how it does; calibrate and factor are followed by
	// their turn (" 2/3") where the memory limit makes several. With Goals, search to judge come in turns, one for each
	// model that is tried; judge runs it. The points of Explore are turns too. Where a run takes long, what is known of the time stands behind the colon.
	Progress samples.Progress
}

// Environment is what work is done with: the numerical libraries, opened once, and those who are told. It is passed beside the
// values that stages take and give, and several runs may share one.
type Environment struct {
	// Missing says why there is no ONNX Runtime, nil where there is.
	Missing error
	Algebra linalg.Backend
	// Plain says why OpenBLAS does not do the algebra, nil when it does.
	Plain   error
	Threads int

	library  *ort.Library // nil where it is missing
	progress samples.Progress
	bounded  bool     // whether there is a memory limit
	restore  func()   // lets Go collect garbage as before; nil without a limit
	idle     []byte   // never touched, and so no memory: what the collector takes for living, so that it does not run for every megabyte of a small heap
	pass     string   // behind the names of stages
	journal  *[]Stage // of a run: what was done, and how long it took; nil outside of one
	outlook  *outlook // of a run: how long it takes; nil outside of one
}

// garbage is by how much of what lives, in percent, the heap may grow between collections where memory is bounded. Nearly all of it is
// numbers without pointers, which cost next to nothing to collect more often.
const garbage = 20

// Open finds and opens ONNX Runtime and OpenBLAS. A library that was named, by path or by environment variable, and
// cannot be opened is a *UsageError; one that is nowhere to be found is none. The caller closes the environment.
func Open(o EnvironmentOptions) (*Environment, error) {
	if o.Threads < 0 {
		return nil, negative("number of threads", int64(o.Threads))
	}
	e := &Environment{Algebra: linalg.Gonum(), Threads: o.Threads, progress: oneByOne(o.Progress), bounded: o.Memory > 0}
	if e.Threads == 0 {
		e.Threads = runtime.GOMAXPROCS(0)
	}
	blas, named, err := find(provision.OpenBLAS, "")
	if err == nil {
		var b linalg.Backend
		if b, err = linalg.Open(blas); err == nil {
			e.Algebra = b
		}
	}
	if e.Plain = err; err != nil && named {
		return nil, &UsageError{Err: fmt.Errorf("OpenBLAS: %w", err)}
	}
	path, named, err := find(provision.ONNXRuntime, o.Runtime)
	if err == nil {
		e.library, err = ort.Open(path)
	}
	if e.Missing = err; err != nil && named {
		return nil, &UsageError{Err: fmt.Errorf("ONNX Runtime: %w", err)}
	}
	if o.Memory > 0 {
		idle := max(o.Memory, leastMemory) / 16
		e.idle = make([]byte, idle)
		limit, percent := debug.SetMemoryLimit(max(o.Memory/4*3, leastMemory)+idle), debug.SetGCPercent(garbage)
		e.restore = func() {
			debug.SetMemoryLimit(limit)
			debug.SetGCPercent(percent)
		}
	}
	return e, nil
}

// oneByOne lets calls of p not overlap; nil is told to nobody.
func oneByOne(p samples.Progress) samples.Progress {
	var mu sync.Mutex
	return func(stage string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if p != nil {
			p(stage, done, total)
		}
	}
}

// find looks for a library and says whether somebody named the place.
func find(lib provision.Library, flag string) (path string, named bool, err error) {
	found, _, err := provision.Find(lib, flag)
	if missing := (*provision.NotFoundError)(nil); errors.As(err, &missing) {
		return "", false, err
	}
	if err != nil {
		return "", true, err
	}
	return found.Path, found.Source == provision.FromFlag || found.Source == provision.FromEnv, nil
}

// Close releases ONNX Runtime and gives up the memory limit.
func (e *Environment) Close() {
	if e.restore != nil {
		e.restore()
		e.restore, e.idle = nil, nil
	}
	if e.library != nil {
		e.library.Close()
	}
}

// Need returns ONNX Runtime, or an error that says what wants it and how to get it. It is closed with the environment.
func (e *Environment) Need(what string) (verify.Runtime, error) {
	lib, err := e.need(what)
	if err != nil {
		return nil, err
	}
	return lib, nil
}

func (e *Environment) need(what string) (*ort.Library, error) {
	if e.library != nil {
		return e.library, nil
	}
	return nil, fmt.Errorf("%s needs ONNX Runtime (run `onnx-compress setup`, or see `onnx-compress doctor`): %w", what, e.Missing)
}

// afresh is the environment of a run of its own.
func (e *Environment) afresh() *Environment {
	run := *e
	run.pass, run.journal, run.outlook = "", new([]Stage), newOutlook()
	return &run
}

// inPass is the environment of one of several turns of a run, which stands behind the names of stages.
func (e *Environment) inPass(turn string) *Environment {
	one := *e
	one.pass = turn
	return &one
}

// stage is a stage on its way.
type stage struct {
	name  string
	env   *Environment
	found int // how many losses it has found, which later rounds of it count on from
	// from and to are what of its chapter (see outlook) is done when it begins, and when it is over; both are 0 where that is not known.
	from, to float64
}

// covers says what of its chapter the stage is.
func (s *stage) covers(from, to float64) { s.from, s.to = from, to }

// told says how far the stage is, and how it goes where that is not "".
func (s *stage) told(how string, done, total int) {
	name := s.name
	if s.to > 0 && total > 0 {
		s.env.outlook.goes(s.from + (s.to-s.from)*float64(done)/float64(total))
	}
	if how == "" {
		how = s.env.outlook.remark()
	}
	if how != "" {
		name += ": " + how
	}
	s.env.progress(name, done, total)
}

// stage announces work under a name and times it. It does not begin after the context's end.
func (e *Environment) stage(ctx context.Context, name string, work func(*stage) error) error {
	start := time.Now()
	s := &stage{name: name + e.pass, env: e}
	e.outlook.enters(name)
	defer e.outlook.leaves()
	s.told("", 0, 0)
	if err := ctx.Err(); err != nil {
		return err
	}
	err := work(s)
	e.outlook.goes(s.to)
	if e.bounded {
		debug.FreeOSMemory() // which the next stage's sessions take beside the heap
	}
	if e.journal != nil {
		*e.journal = append(*e.journal, Stage{s.name, time.Since(start).Seconds(), rss.Peak()})
	}
	return err
}

// result says which libraries do the work.
func (e *Environment) result(seed uint64) EnvironmentResult {
	r := EnvironmentResult{Algebra: e.Algebra.Name(), Threads: e.Threads, Seed: seed}
	if e.library != nil {
		r.Runtime, r.RuntimePath = e.library.Version(), e.library.Path()
	}
	return r
}
