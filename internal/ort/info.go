package ort

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Kind is the kind of a value: a tensor, or one of ONNX's other types.
type Kind int

// The kinds of values.
const (
	KindUnknown Kind = iota
	KindTensor
	KindSequence
	KindMap
	KindOpaque
	KindSparseTensor
	KindOptional
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case KindTensor:
		return "tensor"
	case KindSequence:
		return "sequence"
	case KindMap:
		return "map"
	case KindOpaque:
		return "opaque value"
	case KindSparseTensor:
		return "sparse tensor"
	case KindOptional:
		return "optional value"
	}
	return "value of unknown kind"
}

// Info describes an input or an output of a model.
type Info struct {
	Name string
	// Kind is KindTensor for all that this package can pass; the fields below
	// are zero for other kinds.
	Kind Kind
	Type tensor.Type
	// Shape holds the dimensions, -1 where one is not fixed.
	Shape []int64
	// Dims holds the names of the dimensions, "" where one has none.
	Dims []string
	// Unranked says that the model leaves even the number of dimensions open.
	Unranked bool
}

// String returns name, type and shape, such as `"x" float32[batch,3,?,224]`.
func (i Info) String() string {
	if i.Kind != KindTensor {
		return fmt.Sprintf("%q %v", i.Name, i.Kind)
	}
	if i.Unranked {
		return fmt.Sprintf("%q %v of any rank", i.Name, i.Type)
	}
	dims := make([]string, len(i.Shape))
	for k, d := range i.Shape {
		switch {
		case d >= 0:
			dims[k] = strconv.FormatInt(d, 10)
		case i.Dims[k] != "":
			dims[k] = i.Dims[k]
		default:
			dims[k] = "?"
		}
	}
	return fmt.Sprintf("%q %v[%s]", i.Name, i.Type, strings.Join(dims, ","))
}

// check reports whether d may be passed as the input i.
func (i Info) check(d tensor.Dense) error {
	switch {
	case i.Kind != KindTensor:
		return fmt.Errorf("input %v: only tensors can be passed", i)
	case d.Type == tensor.String:
		return fmt.Errorf("input %v: string tensors cannot be passed", i)
	case d.Type != i.Type:
		return fmt.Errorf("input %v: given %v", i, describe(d))
	}
	if err := d.Check(); err != nil {
		return fmt.Errorf("input %v: %w", i, err)
	}
	if i.Unranked {
		return nil
	}
	fits := len(d.Shape) == len(i.Shape)
	for k := 0; fits && k < len(d.Shape); k++ {
		fits = i.Shape[k] < 0 || i.Shape[k] == int64(d.Shape[k])
	}
	if !fits {
		return fmt.Errorf("input %v: given %v", i, describe(d))
	}
	return nil
}

// describe returns a tensor's type and shape, such as "float32[1,3]".
func describe(d tensor.Dense) string {
	dims := make([]string, len(d.Shape))
	for k, n := range d.Shape {
		dims[k] = strconv.Itoa(n)
	}
	return fmt.Sprintf("%v[%s]", d.Type, strings.Join(dims, ","))
}

// elementOf returns the C API's number of an element type. The two sets of
// numbers are the same up to float4e2m1 only.
func elementOf(t tensor.Type) (elementType, bool) {
	switch {
	case t > tensor.Undefined && t <= tensor.Float4E2M1:
		return elementType(t), true
	case t == tensor.Uint2:
		return elementUint2, true
	case t == tensor.Int2:
		return elementInt2, true
	}
	return elementUndefined, false
}

// typeOf is the inverse of elementOf.
func typeOf(e elementType) (tensor.Type, bool) {
	switch {
	case e > elementUndefined && e <= elementFloat4e2m1:
		return tensor.Type(e), true
	case e == elementUint2:
		return tensor.Uint2, true
	case e == elementInt2:
		return tensor.Int2, true
	}
	return tensor.Undefined, false
}

// kindOf returns the kind that the C API's number stands for.
func kindOf(v valueType) Kind {
	switch v {
	case valueTensor:
		return KindTensor
	case valueSequence:
		return KindSequence
	case valueMap:
		return KindMap
	case valueOpaque:
		return KindOpaque
	case valueSparsetensor:
		return KindSparseTensor
	case valueOptional:
		return KindOptional
	}
	return KindUnknown
}

// describeType fills info from an OrtTypeInfo.
func (l *Library) describeType(typeInfo uintptr, info *Info) error {
	var v valueType
	err := l.do("read a value's kind", slotGetOnnxTypeFromTypeInfo, typeInfo, uintptr(unsafe.Pointer(&v)))
	if err != nil {
		return err
	}
	info.Kind = kindOf(v)
	if info.Kind != KindTensor {
		return nil
	}
	// The tensor's part belongs to typeInfo and is not released by itself.
	var part uintptr
	err = l.do("read a tensor's description", slotCastTypeInfoToTensorInfo, typeInfo, uintptr(unsafe.Pointer(&part)))
	if err != nil {
		return err
	}
	return l.describeTensor(part, info)
}

// describeTensor fills type and shape of info from an OrtTensorTypeAndShapeInfo.
func (l *Library) describeTensor(part uintptr, info *Info) error {
	var e elementType
	err := l.do("read an element type", slotGetTensorElementType, part, uintptr(unsafe.Pointer(&e)))
	if err != nil {
		return err
	}
	t, ok := typeOf(e)
	if !ok {
		return fmt.Errorf("%q has elements of type %v, which is not known", info.Name, e)
	}
	info.Type = t
	// The result is C's bool, of which only the lowest byte is defined.
	if byte(l.call(slotTensorTypeAndShape_HasShape, part)) == 0 {
		info.Unranked = true
		return nil
	}
	var rank uintptr
	err = l.do("read a rank", slotGetDimensionsCount, part, uintptr(unsafe.Pointer(&rank)))
	if err != nil {
		return err
	}
	info.Shape = make([]int64, rank)
	info.Dims = make([]string, rank)
	if rank == 0 {
		return nil
	}
	err = l.do("read a shape", slotGetDimensions, part, uintptr(unsafe.Pointer(&info.Shape[0])), rank)
	if err != nil {
		return err
	}
	names := make([]uintptr, rank)
	err = l.do("read a shape's names", slotGetSymbolicDimensions, part, uintptr(unsafe.Pointer(&names[0])), rank)
	if err != nil {
		return err
	}
	for k, name := range names {
		info.Dims[k] = goString(name)
	}
	return nil
}
