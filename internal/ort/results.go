package ort

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Results holds the outputs of one run until Close.
type Results struct {
	session *Session
	values  []uintptr
	tensors []tensor.Dense
	close   sync.Once
}

// Len returns the number of outputs.
func (r *Results) Len() int { return len(r.tensors) }

// Get returns output i in the order that the run was asked for. Its data is the
// runtime's own memory: it must not be written, nor be used after Close.
func (r *Results) Get(i int) tensor.Dense { return r.tensors[i] }

// Close frees the outputs. Closing again does nothing.
func (r *Results) Close() {
	r.close.Do(func() {
		r.releaseValues()
		r.session.life.release()
	})
}

// releaseValues frees the values that there are.
func (r *Results) releaseValues() {
	for i, v := range r.values {
		if v != 0 {
			r.session.lib.call(slotReleaseValue, v)
		}
		r.values[i] = 0
		r.tensors[i] = tensor.Dense{}
	}
}

// view returns the tensor in an OrtValue without copying its data, unless that
// lies in an input's memory, which belongs to the caller of the run.
func (l *Library) view(value uintptr, f *feeds) (tensor.Dense, error) {
	if value == 0 {
		return tensor.Dense{}, errors.New("the run gave no value")
	}
	d, err := l.typeAndShape(value)
	if err != nil {
		return tensor.Dense{}, err
	}
	n, err := tensor.Elements(d.Shape)
	if err != nil {
		return tensor.Dense{}, err
	}
	size := d.Type.Bytes(n)
	if size == 0 {
		d.Data = []byte{}
		return d, nil
	}
	var address uintptr
	err = l.do("read the data", slotGetTensorMutableData, value, uintptr(unsafe.Pointer(&address)))
	if err != nil {
		return tensor.Dense{}, err
	}
	d.Data = unsafe.Slice((*byte)(cMemory(address)), size)
	if f.holds(address) {
		d.Data = bytes.Clone(d.Data)
	}
	return d, nil
}

// typeAndShape returns a tensor's description without its data.
func (l *Library) typeAndShape(value uintptr) (tensor.Dense, error) {
	var e elementType
	var dims, rank uintptr
	err := l.do("read the type and shape", slotGetTensorElementTypeAndShapeDataReference, value,
		uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&dims)), uintptr(unsafe.Pointer(&rank)))
	if err != nil {
		return tensor.Dense{}, err
	}
	t, ok := typeOf(e)
	if !ok || t.Bits() == 0 {
		return tensor.Dense{}, fmt.Errorf("elements of type %v cannot be read", e)
	}
	d := tensor.Dense{Type: t, Shape: make([]int, rank)}
	for i := range d.Shape {
		n := *(*int64)(unsafe.Add(cMemory(dims), i*8))
		if n < 0 || n > math.MaxInt {
			return tensor.Dense{}, fmt.Errorf("dimension %d is %d", i, n)
		}
		d.Shape[i] = int(n)
	}
	return d, nil
}
