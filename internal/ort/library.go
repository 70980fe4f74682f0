package ort

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/onnx-compress/onnx-compress/internal/dynlib"
)

// ErrClosed is returned for the use of a library or a session after its Close.
var ErrClosed = errors.New("closed")

// Library is an ONNX Runtime that has been loaded into the process.
type Library struct {
	path    string
	version string
	// api is OrtApi: the table of functions, in the library's own memory.
	api []uintptr
	// env, memory and allocator are the OrtEnv, the OrtMemoryInfo of plain
	// memory, and the OrtAllocator of the strings that the runtime gives out.
	env, memory, allocator uintptr

	life lifetime
}

// Open loads the ONNX Runtime library in the file at path, which must be of
// version 1.24 or newer; an older one gives a [*VersionError]. The library stays
// in the process after Close; opening a path again does not load it twice.
func Open(path string) (*Library, error) {
	l, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("ort: open the runtime: %w", err)
	}
	return l, nil
}

// open is Open without the words in front of its errors.
func open(path string) (*Library, error) {
	// The runtime begins to send events to its maker, and to write a device's identity into the user's
	// folders, before there is an environment to turn that off in.
	if err := dynlib.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return nil, err
	}
	library, err := dynlib.Open(path)
	if err != nil {
		return nil, err
	}
	l := &Library{path: library.Path()}
	entry, err := library.Symbol("OrtGetApiBase")
	if err != nil {
		return nil, fmt.Errorf("this is not ONNX Runtime: %w", err)
	}
	if err := l.readTable(entry); err != nil {
		return nil, err
	}
	l.life.free = l.free
	if err := l.start(); err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

// readTable fills version and api through the library's exported function.
func (l *Library) readTable(entry uintptr) error {
	base, _, _ := purego.SyscallN(entry)
	if base == 0 {
		return fmt.Errorf("%s: OrtGetApiBase returns nothing", l.path)
	}
	table := unsafe.Slice((*uintptr)(cMemory(base)), int(baseCount))
	version, _, _ := purego.SyscallN(table[baseGetVersionString])
	l.version = goString(version)
	// GetApi prints to standard error when it refuses: ask only for what is there.
	tooOld := &VersionError{Path: l.path, Found: l.version, Want: fmt.Sprintf("1.%d", apiVersion)}
	if newest, ok := newestAPI(l.version); ok && newest < apiVersion {
		return tooOld
	}
	api, _, _ := purego.SyscallN(table[baseGetApi], uintptr(apiVersion))
	if api == 0 {
		return tooOld
	}
	l.api = unsafe.Slice((*uintptr)(cMemory(api)), int(slotCount))
	return nil
}

// newestAPI returns the newest API version that a runtime of the given version
// knows: the minor number, as long as the major one is 1.
func newestAPI(version string) (int, bool) {
	major, rest, ok := strings.Cut(version, ".")
	if !ok || major != "1" {
		return 0, false
	}
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return n, err == nil
}

// start makes the objects that all sessions share.
func (l *Library) start() error {
	id, err := cString("onnx-compress")
	if err != nil {
		return err
	}
	// Failures are logged as errors and returned as well: only returning is wanted.
	err = l.do("start the runtime", slotCreateEnv,
		uintptr(logFatal), uintptr(unsafe.Pointer(id)), uintptr(unsafe.Pointer(&l.env)))
	if err != nil {
		return err
	}
	if err := l.do("turn telemetry off", slotDisableTelemetryEvents, l.env); err != nil {
		return err
	}
	err = l.do("describe plain memory", slotCreateCpuMemoryInfo,
		uintptr(allocatorDeviceAllocator), uintptr(memDefault), uintptr(unsafe.Pointer(&l.memory)))
	if err != nil {
		return err
	}
	return l.do("get the allocator", slotGetAllocatorWithDefaultOptions, uintptr(unsafe.Pointer(&l.allocator)))
}

// Version returns the runtime's version, such as "1.32.0".
func (l *Library) Version() string { return l.version }

// Path returns the absolute path of the library's file.
func (l *Library) Path() string { return l.path }

// Close frees what the library holds as soon as its last session is closed. New
// sessions are refused from here on. Closing again does nothing.
func (l *Library) Close() { l.life.close() }

// free releases what start made. The default allocator is the runtime's own.
func (l *Library) free() {
	if l.memory != 0 {
		l.call(slotReleaseMemoryInfo, l.memory)
	}
	if l.env != 0 {
		l.call(slotReleaseEnv, l.env)
	}
	l.memory, l.env = 0, 0
}
