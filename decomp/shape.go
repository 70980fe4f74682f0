package decomp

import (
	"fmt"
	"math"
)

// Shape is the size of the linear map at a site: a convolution's kernel, or a plain matrix when Window
// is empty.
type Shape struct {
	Out, In int   // channels in total, over all groups
	Window  []int // taps along each spatial axis; empty for a plain matrix
	Groups  int   // 1 when there is nothing to group
}

// Rows returns the output channels of one group, O: the rows of its matrix.
func (s Shape) Rows() int { return s.Out / s.Groups }

// Cols returns the inputs of one group, K = (In/Groups)·∏Window: the columns of its matrix, and the
// length of one input patch.
func (s Shape) Cols() int { return s.In / s.Groups * s.taps() }

// Params returns the number of weights, Groups·O·K.
func (s Shape) Params() int64 { return int64(s.Out) * int64(s.Cols()) }

func (s Shape) taps() int {
	n := 1
	for _, w := range s.Window {
		n *= w
	}
	return n
}

// FullRank returns min(O, K): the rank at which svd rebuilds any kernel of this shape.
func (s Shape) FullRank() int { return min(s.Rows(), s.Cols()) }

// BreakEven returns the largest svd rank with fewer weights than the dense kernel, the largest integer r
// with r·(O+K) < O·K; 0 when rank 1 already costs as much. With strides and padding carried by the first
// factor, the same rank is the break-even in multiply-accumulates.
func (s Shape) BreakEven() int {
	o, k := int64(s.Rows()), int64(s.Cols())
	return int((o*k - 1) / (o + k))
}

// Check reports sizes that are not positive, groups that do not divide the channels, and kernels whose
// size does not fit an int.
func (s Shape) Check() error {
	if s.Out < 1 || s.In < 1 {
		return fmt.Errorf("decomp: kernel of %d output and %d input channels: both must be positive", s.Out, s.In)
	}
	if s.Groups < 1 || s.Out%s.Groups != 0 || s.In%s.Groups != 0 {
		return fmt.Errorf("decomp: %d groups do not divide %d output and %d input channels", s.Groups, s.Out, s.In)
	}
	size := float64(s.Out) * float64(s.In/s.Groups)
	for _, w := range s.Window {
		if w < 1 {
			return fmt.Errorf("decomp: kernel window %v: every axis must be positive", s.Window)
		}
		size *= float64(w)
	}
	if size > math.MaxInt32 {
		return fmt.Errorf("decomp: kernel of %.3g weights: at most %d are supported", size, math.MaxInt32)
	}
	return nil
}

// Kernel is a Shape with its numbers.
type Kernel struct {
	Shape
	Weights []float64 // [Out, In/Groups, Window...] row-major; nil where only shapes were asked for
}

// Check reports a bad shape, a wrong number of weights, and the first weight that is NaN or infinite.
func (k Kernel) Check() error {
	if err := k.Shape.Check(); err != nil {
		return err
	}
	if int64(len(k.Weights)) != k.Params() {
		return fmt.Errorf("decomp: kernel %v holds %d weights, wanted %d", k.Shape, len(k.Weights), k.Params())
	}
	for i, v := range k.Weights {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("decomp: weight %d of kernel %v is %v", i, k.Shape, v)
		}
	}
	return nil
}

// String writes a shape as, for example, "64×16×3×3 in 4 groups".
func (s Shape) String() string {
	text := fmt.Sprintf("%d×%d", s.Out, s.In/max(s.Groups, 1))
	for _, w := range s.Window {
		text += fmt.Sprintf("×%d", w)
	}
	if s.Groups > 1 {
		text += fmt.Sprintf(" in %d groups", s.Groups)
	}
	return text
}

// Geometry is the spatial extent of a site's input and output, one number an axis of the window. For a
// plain matrix both hold the number of vectors that it is applied to in one sample.
type Geometry struct {
	In, Out []int
	// Transposed tells that the site is a transposed convolution: its kernel is that of the convolution over the input
	// with zeros inserted, but each weight meets each position of the input as it is once.
	Transposed bool
}
