package ort

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"unsafe"
)

// Level says how far the runtime may rewrite a graph before it runs it.
type Level int

// The levels, each including the ones before it but for the zero value, which is
// the runtime's own choice: everything.
const (
	OptimizeAll      Level = iota // all of it, with layouts made for the machine at hand
	OptimizeNone                  // what it cannot do without
	OptimizeBasic                 // rewrites that hold for every provider, such as folding constants and batch-norm
	OptimizeExtended              // fused operators of the CPU provider too
)

// Options says how a session is made. The zero value is a session with all
// optimisations, on the calling thread alone.
//
// Every session computes its nodes one after the other.
type Options struct {
	// Threads is on how many threads a node is computed, the caller's among them; 0 means 1. What more of them
	// compute may differ in the last digits from what one does. They sleep between runs, so that sessions can be timed side by side.
	Threads int
	// ExternalFolder is the folder of the external data of a model given as
	// bytes. A model in a file has its data beside it, and must leave this empty.
	ExternalFolder string
	// FreeDimensions gives symbolic dimensions of the model's inputs their size,
	// which lets the runtime optimise further. A name that the model does not
	// have does nothing.
	FreeDimensions map[string]int64
	// Optimization is the level of graph optimisation.
	Optimization Level
	// ProfilePrefix, if not empty, turns profiling on: the profile goes to a file
	// whose path starts with it; see [Session.EndProfiling].
	ProfilePrefix string
	// OptimizedModelPath, if not empty, is where the graph is written as the
	// runtime runs it, after optimisation. Above OptimizeExtended, that file suits
	// this machine only.
	OptimizedModelPath string
	// Mapped leaves weights in the file of external data that they lie in, mapped, where else every product gets a copy laid out for
	// it, and gives memory back after every use: a session in little memory, whose runs take longer.
	Mapped bool
}

// Session configuration entries (onnxruntime_session_options_config_keys.h): the folder of a
// model's external data, whether weights stay as they are, and whether threads wait for the next run without sleeping.
const (
	externalFolderKey = "session.model_external_initializers_file_folder_path"
	noPrepackingKey   = "session.disable_prepacking"
	stopSpinningKey   = "session.force_spinning_stop"
)

// graphLevel returns the C API's value of a level.
func (level Level) graphLevel() (graphOptimization, error) {
	switch level {
	case OptimizeAll:
		return graphEnableAll, nil
	case OptimizeNone:
		return graphDisableAll, nil
	case OptimizeBasic:
		return graphEnableBasic, nil
	case OptimizeExtended:
		return graphEnableExtended, nil
	}
	return 0, fmt.Errorf("no optimisation level %d", int(level))
}

// sessionOptions makes the C API's options from o. The caller releases them,
// unless there is an error.
func (l *Library) sessionOptions(o Options) (uintptr, error) {
	var options uintptr
	if err := l.do("make session options", slotCreateSessionOptions, uintptr(unsafe.Pointer(&options))); err != nil {
		return 0, err
	}
	err := l.fillOptions(options, o)
	if err != nil {
		l.call(slotReleaseSessionOptions, options)
		return 0, err
	}
	return options, nil
}

// fillOptions copies o into the C API's options.
func (l *Library) fillOptions(options uintptr, o Options) error {
	if o.Threads < 0 {
		return fmt.Errorf("%d threads: want at least 1", o.Threads)
	}
	level, err := o.Optimization.graphLevel()
	if err != nil {
		return err
	}
	for _, set := range []struct {
		op    string
		f     slot
		value uintptr
	}{
		{"set the optimisation level", slotSetSessionGraphOptimizationLevel, uintptr(level)},
		{"ask for sequential execution", slotSetSessionExecutionMode, uintptr(modeSequential)},
		{"set the number of threads", slotSetIntraOpNumThreads, uintptr(max(o.Threads, 1))},
		{"ask for one thread between nodes", slotSetInterOpNumThreads, 1},
	} {
		if err := l.do(set.op, set.f, options, set.value); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.FreeDimensions)) {
		if err := l.setFreeDimension(options, name, o.FreeDimensions[name]); err != nil {
			return err
		}
	}
	if err := l.setExternalFolder(options, o.ExternalFolder); err != nil {
		return err
	}
	if o.Mapped {
		if err := l.setMapped(options); err != nil {
			return err
		}
	}
	if o.Threads > 1 {
		if err := l.configure(options, "have threads sleep between runs", stopSpinningKey, "1"); err != nil {
			return err
		}
	}
	if err := l.setPath("turn profiling on", slotEnableProfiling, options, o.ProfilePrefix); err != nil {
		return err
	}
	return l.setPath("name the file of the optimised model", slotSetOptimizedModelFilePath, options, o.OptimizedModelPath)
}

// setFreeDimension fixes one symbolic dimension.
func (l *Library) setFreeDimension(options uintptr, name string, size int64) error {
	if size <= 0 {
		return fmt.Errorf("dimension %q is to be %d: want a size above zero", name, size)
	}
	text, err := cString(name)
	if err != nil {
		return fmt.Errorf("dimension %q: %w", name, err)
	}
	return l.do(fmt.Sprintf("fix dimension %q", name), slotAddFreeDimensionOverrideByName,
		options, uintptr(unsafe.Pointer(text)), uintptr(size))
}

// setExternalFolder says where a model given as bytes has its external data.
func (l *Library) setExternalFolder(options uintptr, folder string) error {
	if folder == "" {
		return nil
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if err := l.configure(options, "set the folder of external data", externalFolderKey, folder); err != nil {
		return fmt.Errorf("external data folder %q: %w", folder, err)
	}
	return nil
}

// setMapped turns off what makes copies of weights, and what keeps memory for later.
func (l *Library) setMapped(options uintptr) error {
	if err := l.do("turn the arena off", slotDisableCpuMemArena, options); err != nil {
		return err
	}
	return l.configure(options, "leave the weights as they are", noPrepackingKey, "1")
}

// configure adds an entry to a session's configuration.
func (l *Library) configure(options uintptr, op, key, value string) error {
	k, err := cString(key)
	if err != nil {
		return err
	}
	v, err := cString(value)
	if err != nil {
		return err
	}
	return l.do(op, slotAddSessionConfigEntry, options, uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(v)))
}

// setPath calls a function that takes a path, unless the path is empty.
func (l *Library) setPath(op string, f slot, options uintptr, path string) error {
	if path == "" {
		return nil
	}
	p, err := cPath(path)
	if err != nil {
		return fmt.Errorf("%s: path %q: %w", op, path, err)
	}
	return l.do(op, f, options, uintptr(unsafe.Pointer(p)))
}
