package ort

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Run computes the named outputs, or all of them if outputs is nil, in that
// order. Inputs are read in place and must not change until Run returns; a
// tensor whose data is not aligned to its elements is copied first. The caller
// closes the results.
//
// When ctx ends during the run, the runtime stops after the node that it is at,
// and the error wraps ctx.Err().
func (s *Session) Run(ctx context.Context, inputs map[string]tensor.Dense, outputs []string) (*Results, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ort: run: %w", err)
	}
	if !s.life.acquire() {
		return nil, fmt.Errorf("ort: run: the session is %w", ErrClosed)
	}
	r, err := s.run(ctx, inputs, outputs)
	if err != nil {
		s.life.release()
		return nil, fmt.Errorf("ort: run: %w", err)
	}
	return r, nil
}

// run is Run for a session that is held by the caller; the results take over
// that hold.
func (s *Session) run(ctx context.Context, inputs map[string]tensor.Dense, outputs []string) (*Results, error) {
	ports, err := s.wanted(outputs)
	if err != nil {
		return nil, err
	}
	f := feeds{lib: s.lib}
	defer f.release()
	if err := s.feed(&f, inputs); err != nil {
		return nil, err
	}
	r := &Results{session: s, values: make([]uintptr, len(ports)), tensors: make([]tensor.Dense, len(ports))}
	names := make([]uintptr, len(ports))
	for i, p := range ports {
		names[i] = p.name
	}
	if err := s.compute(ctx, &f, names, r.values); err != nil {
		r.releaseValues()
		return nil, err
	}
	for i, p := range ports {
		if r.tensors[i], err = s.lib.view(r.values[i], &f); err != nil {
			r.releaseValues()
			return nil, fmt.Errorf("output %q: %w", p.Name, err)
		}
	}
	return r, nil
}

// compute calls the runtime's Run, which stops early when ctx ends.
func (s *Session) compute(ctx context.Context, f *feeds, names, values []uintptr) error {
	l := s.lib
	var options uintptr
	if ctx.Done() != nil {
		err := l.do("make run options", slotCreateRunOptions, uintptr(unsafe.Pointer(&options)))
		if err != nil {
			return err
		}
		// The options must outlive a call that is setting their flag.
		defer l.call(slotReleaseRunOptions, options)
		set := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(set)
			// A failure only means that the run goes on to its end.
			_ = l.do("stop the run", slotRunOptionsSetTerminate, options)
		})
		defer func() {
			if !stop() {
				<-set
			}
		}()
	}
	err := l.do("compute", slotRun, s.session, options,
		uintptr(unsafe.Pointer(unsafe.SliceData(f.names))), uintptr(unsafe.Pointer(unsafe.SliceData(f.values))), uintptr(len(f.values)),
		uintptr(unsafe.Pointer(unsafe.SliceData(names))), uintptr(len(names)), uintptr(unsafe.Pointer(unsafe.SliceData(values))))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
	return err
}

// wanted returns the ports of the named outputs, or all if names is nil.
func (s *Session) wanted(names []string) ([]port, error) {
	ports := s.outputs
	if names != nil {
		ports = make([]port, len(names))
		for i, name := range names {
			k := slices.IndexFunc(s.outputs, func(p port) bool { return p.Name == name })
			if k < 0 {
				return nil, fmt.Errorf("the model has no output %q, only %s", name, list(s.outputs))
			}
			if slices.Contains(names[:i], name) {
				return nil, fmt.Errorf("output %q is asked for twice", name)
			}
			ports[i] = s.outputs[k]
		}
	}
	if len(ports) == 0 {
		return nil, errors.New("no outputs are asked for")
	}
	for _, p := range ports {
		if p.Kind != KindTensor {
			return nil, fmt.Errorf("output %v: only tensors can be read", p.Info)
		}
		if p.Type == tensor.String {
			return nil, fmt.Errorf("output %v: string tensors cannot be read", p.Info)
		}
	}
	return ports, nil
}

// feeds holds the input values of one run, with the Go memory behind them.
type feeds struct {
	lib    *Library
	names  []uintptr
	values []uintptr
	data   [][]byte
	pinner runtime.Pinner
}

// feed makes the values of all inputs.
func (s *Session) feed(f *feeds, inputs map[string]tensor.Dense) error {
	given := 0
	for _, p := range s.inputs {
		d, ok := inputs[p.Name]
		if !ok {
			return fmt.Errorf("input %v is missing", p.Info)
		}
		given++
		if err := f.add(p, d); err != nil {
			return err
		}
	}
	for _, p := range s.overridable {
		d, ok := inputs[p.Name]
		if !ok {
			continue
		}
		given++
		if err := f.add(p, d); err != nil {
			return err
		}
	}
	if given == len(inputs) {
		return nil
	}
	var unknown []string
	for name := range inputs {
		isName := func(p port) bool { return p.Name == name }
		if !slices.ContainsFunc(s.inputs, isName) && !slices.ContainsFunc(s.overridable, isName) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return fmt.Errorf("the model has no input %q, only %s", unknown[0], list(s.inputs))
}

// add makes the value of one input: an OrtValue over the tensor's own memory.
func (f *feeds) add(p port, d tensor.Dense) error {
	if err := p.check(d); err != nil {
		return err
	}
	element, ok := elementOf(d.Type)
	if !ok {
		return fmt.Errorf("input %v: ONNX Runtime has no such type", p.Info)
	}
	data := aligned(d.Data, d.Type)
	first := unsafe.SliceData(data)
	if len(data) > 0 {
		f.pinner.Pin(first)
	}
	shape := make([]int64, len(d.Shape))
	for i, n := range d.Shape {
		shape[i] = int64(n)
	}
	var value uintptr
	err := f.lib.do("pass the tensor", slotCreateTensorWithDataAsOrtValue, f.lib.memory,
		uintptr(unsafe.Pointer(first)), uintptr(len(data)),
		uintptr(unsafe.Pointer(unsafe.SliceData(shape))), uintptr(len(shape)), uintptr(element), uintptr(unsafe.Pointer(&value)))
	if err != nil {
		return fmt.Errorf("input %v: %w", p.Info, err)
	}
	f.names = append(f.names, p.name)
	f.values = append(f.values, value)
	f.data = append(f.data, data)
	return nil
}

// release frees the values and lets go of the memory behind them.
func (f *feeds) release() {
	for _, v := range f.values {
		f.lib.call(slotReleaseValue, v)
	}
	f.values = nil
	f.pinner.Unpin()
}

// holds reports whether the address lies in the memory of an input.
func (f *feeds) holds(address uintptr) bool {
	for _, data := range f.data {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
		if len(data) > 0 && address >= start && address-start < uintptr(len(data)) {
			return true
		}
	}
	return false
}

// aligned returns data, or a copy of it if it does not start at a multiple of
// the element's size: the runtime reads whole elements.
func aligned(data []byte, t tensor.Type) []byte {
	width := uintptr(min(max(t.Size(), 1), 8))
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%width == 0 {
		return data
	}
	words := make([]uint64, (len(data)+7)/8)
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(data))
	copy(buffer, data)
	return buffer
}

// list returns the descriptions of ports for an error message.
func list(ports []port) string {
	if len(ports) == 0 {
		return "none"
	}
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}
