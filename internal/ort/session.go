package ort

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/internal/dynlib"
)

// Session is a model that is ready to run. Its methods may be called from
// several goroutines at once.
type Session struct {
	lib     *Library
	session uintptr

	inputs, outputs, overridable []port
	profiling                    bool

	life lifetime
}

// port is an input or an output, with its name as the runtime gave it out.
type port struct {
	Info
	name uintptr
}

// NewSession makes a session of a model given as the bytes of an ONNX file. The
// bytes are not needed any more when it returns.
func (l *Library) NewSession(model []byte, o Options) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("ort: load the model: no bytes given")
	}
	s, err := l.newSession(o, func(options uintptr, out *uintptr) error {
		return l.do("load the model", slotCreateSessionFromArray, l.env,
			uintptr(unsafe.Pointer(unsafe.SliceData(model))), uintptr(len(model)), options, uintptr(unsafe.Pointer(out)))
	})
	if err != nil {
		return nil, fmt.Errorf("ort: %w", err)
	}
	return s, nil
}

// NewSessionFile makes a session of the model in the file at path. External data
// is read from the file's folder.
func (l *Library) NewSessionFile(path string, o Options) (*Session, error) {
	if o.ExternalFolder != "" {
		return nil, fmt.Errorf("ort: load %s: external data is read from the file's own folder: leave ExternalFolder empty", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	}
	p, err := cPath(absolute)
	if err != nil {
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	}
	s, err := l.newSession(o, func(options uintptr, out *uintptr) error {
		return l.do("load "+path, slotCreateSession, l.env,
			uintptr(unsafe.Pointer(p)), options, uintptr(unsafe.Pointer(out)))
	})
	if err != nil {
		return nil, fmt.Errorf("ort: %w", err)
	}
	return s, nil
}

// newSession makes a session with create, which is given the C API's options and
// the place for the OrtSession.
func (l *Library) newSession(o Options, create func(options uintptr, out *uintptr) error) (*Session, error) {
	if !l.life.acquire() {
		return nil, fmt.Errorf("load the model: the library is %w", ErrClosed)
	}
	s := &Session{lib: l, profiling: o.ProfilePrefix != ""}
	s.life.free = s.free
	options, err := l.sessionOptions(o)
	if err != nil {
		s.free()
		return nil, err
	}
	defer l.call(slotReleaseSessionOptions, options)
	err = create(options, &s.session)
	if err == nil {
		err = s.describe()
	}
	if err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

// free releases the session, its names, and its hold on the library.
func (s *Session) free() {
	l := s.lib
	for _, ports := range [][]port{s.inputs, s.outputs, s.overridable} {
		for _, p := range ports {
			if p.name != 0 {
				// Nothing can be done about a failure to free, and none is documented.
				_ = l.do("free a name", slotAllocatorFree, l.allocator, p.name)
			}
		}
	}
	if s.session != 0 {
		l.call(slotReleaseSession, s.session)
		s.session = 0
		dynlib.Trim() // else what sessions of large weights leave adds up, in a heap for each thread
	}
	l.life.release()
}

// describe reads the names, types and shapes of all inputs and outputs.
func (s *Session) describe() error {
	for _, side := range []struct {
		ports             *[]port
		count, name, info slot
	}{
		{&s.inputs, slotSessionGetInputCount, slotSessionGetInputName, slotSessionGetInputTypeInfo},
		{&s.outputs, slotSessionGetOutputCount, slotSessionGetOutputName, slotSessionGetOutputTypeInfo},
		{&s.overridable, slotSessionGetOverridableInitializerCount, slotSessionGetOverridableInitializerName, slotSessionGetOverridableInitializerTypeInfo},
	} {
		var n uintptr
		if err := s.lib.do("count the model's values", side.count, s.session, uintptr(unsafe.Pointer(&n))); err != nil {
			return err
		}
		// Each port is appended before it is filled, so that free finds its name.
		for i := range n {
			*side.ports = append(*side.ports, port{})
			if err := s.describePort(&(*side.ports)[i], i, side.name, side.info); err != nil {
				return err
			}
		}
	}
	return nil
}

// describePort fills p with what the functions in the slots name and info say
// about the value at index i.
func (s *Session) describePort(p *port, i uintptr, name, info slot) error {
	l := s.lib
	err := l.do("read a name", name, s.session, i, l.allocator, uintptr(unsafe.Pointer(&p.name)))
	if err != nil {
		return err
	}
	p.Name = goString(p.name)
	var typeInfo uintptr
	err = l.do("read a type", info, s.session, i, uintptr(unsafe.Pointer(&typeInfo)))
	if err != nil {
		return err
	}
	defer l.call(slotReleaseTypeInfo, typeInfo)
	return l.describeType(typeInfo, &p.Info)
}

// Inputs describes the inputs that a run must be given, in the model's order.
func (s *Session) Inputs() []Info { return infos(s.inputs) }

// Outputs describes the outputs, in the model's order.
func (s *Session) Outputs() []Info { return infos(s.outputs) }

// Overridable describes the inputs that have a default in the model, so that a
// run may be given them or not.
func (s *Session) Overridable() []Info { return infos(s.overridable) }

// infos returns copies of the descriptions in ports.
func infos(ports []port) []Info {
	list := make([]Info, len(ports))
	for i, p := range ports {
		list[i] = p.Info
		list[i].Shape = slices.Clone(p.Shape)
		list[i].Dims = slices.Clone(p.Dims)
	}
	return list
}

// EndProfiling writes the profile of all runs so far and returns the path of its
// file, a JSON list of events. Runs must not be in progress. It is an error if
// the session was made without a ProfilePrefix; only the first call writes.
func (s *Session) EndProfiling() (string, error) {
	if !s.profiling {
		return "", errors.New("ort: end profiling: the session was made without ProfilePrefix")
	}
	if !s.life.acquire() {
		return "", fmt.Errorf("ort: end profiling: the session is %w", ErrClosed)
	}
	defer s.life.release()
	l := s.lib
	var name uintptr
	err := l.do("end profiling", slotSessionEndProfiling, s.session, l.allocator, uintptr(unsafe.Pointer(&name)))
	if err != nil {
		return "", fmt.Errorf("ort: %w", err)
	}
	path, err := l.takeString(name)
	if err != nil {
		return "", fmt.Errorf("ort: %w", err)
	}
	return path, nil
}

// Close frees the session as soon as its last run has ended and its last results
// are closed. New runs are refused from here on. Closing again does nothing.
func (s *Session) Close() { s.life.close() }
