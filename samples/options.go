package samples

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// SourceOptions say how samples are prepared. The zero value feeds pixels scaled to
// [0, 1] in the layout that the model's input shape shows.
//
// A pixel value v of channel c becomes (v·Scale − Mean[c]) / Std[c]. The formula
// applies to images, to records, and to arrays of pixels; it is the common one of
// the training frameworks, with mean and deviation in scaled units.
type SourceOptions struct {
	// Resize and Crop apply to folders of images, in this order.
	Resize Resize
	// Crop cuts a window of this size out of the middle; the zero Size cuts nothing.
	Crop Size
	// Scale multiplies pixel values; 0 means 1/255 for bytes and 1 for all else.
	Scale float64
	// Mean and Std have one entry per channel, or one for all; nil means 0 and 1.
	Mean, Std []float64
	// Layout is where images and records put their channels.
	Layout Layout
	// Order is the order of the channels of colour images and records.
	Order Order
	// Labels is a file with the class of every sample: either one integer a line,
	// in the order of the samples, or lines that name image files: NAME,CLASS or NAME CLASS for every one, NAME<TAB>CLASS for some. Classes
	// are numbers from 0; or where all are names, their places among these, sorted.
	// Records bring their own labels. NextToken is no file: of texts' tokens each is the label of the one before it.
	Labels string
}

// NextToken are labels that are in the samples: the token after each.
const NextToken = "next"

// Size is a height and a width in pixels.
type Size struct{ Height, Width int }

// String writes the size as ParseSize reads it.
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Height, s.Width) }

// Resize says how images are scaled. At most one of its fields is set.
type Resize struct {
	// Short is the length that the shorter side gets; the other keeps the aspect ratio.
	Short int
	// Exact is the size that the image gets, whatever its aspect ratio.
	Exact Size
}

// Layout is the order of the axes of an image tensor.
type Layout string

// The layouts. AutoLayout takes NHWC where only that puts an axis of size 1 or 3 of
// the model's input where the channels are, else NCHW.
const (
	AutoLayout Layout = ""
	NCHW       Layout = "nchw"
	NHWC       Layout = "nhwc"
)

// Order is the order of colour channels.
type Order string

// The channel orders. The zero value means RGB.
const (
	RGB Order = "rgb"
	BGR Order = "bgr"
)

// ParseSize reads "224" (square) or "HEIGHTxWIDTH".
func ParseSize(s string) (Size, error) {
	h, w, both := strings.Cut(strings.ToLower(s), "x")
	if !both {
		w = h
	}
	height, err1 := strconv.Atoi(h)
	width, err2 := strconv.Atoi(w)
	if err1 != nil || err2 != nil || height < 1 || width < 1 || height > maxSide || width > maxSide {
		return Size{}, fmt.Errorf("%q is no image size; want a side such as 224, or HEIGHTxWIDTH such as 240x320", s)
	}
	return Size{height, width}, nil
}

// ParseResize reads "256", the length of the shorter side, or "HEIGHTxWIDTH".
func ParseResize(s string) (Resize, error) {
	size, err := ParseSize(s)
	if err != nil {
		return Resize{}, err
	}
	if strings.ContainsAny(s, "xX") {
		return Resize{Exact: size}, nil
	}
	return Resize{Short: size.Height}, nil
}

// ParseNumbers reads numbers separated by commas, as Mean and Std take them.
func ParseNumbers(s string) ([]float64, error) {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q is no list of numbers; want for example 0.485,0.456,0.406", s)
		}
		out = append(out, v)
	}
	return out, nil
}

// ParseLayout reads "nchw" or "nhwc"; the empty string leaves the choice to the model's
// input shape.
func ParseLayout(s string) (Layout, error) {
	if l := Layout(strings.ToLower(s)); l == AutoLayout || l == NCHW || l == NHWC {
		return l, nil
	}
	return "", unknown("layout", s, layouts())
}

// ParseOrder reads "rgb" or "bgr".
func ParseOrder(s string) (Order, error) {
	if o := Order(strings.ToLower(s)); o == RGB || o == BGR {
		return o, nil
	}
	return "", unknown("channel order", s, orders())
}

func layouts() []string { return []string{string(NCHW), string(NHWC)} }
func orders() []string  { return []string{string(RGB), string(BGR)} }

// unknown is the error of a word that is none of those that there are.
func unknown(what, word string, known []string) error {
	_, err := suggest.Named(what, word, known)
	return err
}

// Normalization is a named choice of Scale, Mean and Std.
type Normalization struct {
	Name      string
	Doc       string
	Scale     float64
	Mean, Std []float64
}

// Normalizations returns the normalizations that have a name.
func Normalizations() []Normalization {
	return []Normalization{
		{"imagenet", "the ImageNet statistics that torchvision's and timm's models are trained with", 1. / 255, []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}},
		{"cifar10", "the statistics of CIFAR-10's training images", 1. / 255, []float64{0.4914, 0.4822, 0.4465}, []float64{0.2470, 0.2435, 0.2616}},
		{"cifar100", "the statistics of CIFAR-100's training images", 1. / 255, []float64{0.5071, 0.4865, 0.4409}, []float64{0.2673, 0.2564, 0.2762}},
		{"half", "pixels mapped to [-1, 1]", 1. / 255, []float64{0.5}, []float64{0.5}},
		{"raw", "pixels from 0 to 255 as they are", 1, nil, nil},
	}
}

// Normalize sets Scale, Mean and Std to the normalization of that name.
func (o *SourceOptions) Normalize(name string) error {
	var names []string
	for _, n := range Normalizations() {
		if strings.EqualFold(n.Name, name) {
			o.Scale, o.Mean, o.Std = n.Scale, n.Mean, n.Std
			return nil
		}
		names = append(names, n.Name)
	}
	return unknown("normalization", name, names)
}

// check refuses options that make no sense for any source.
func (o SourceOptions) check() error {
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case o.Resize.Short != 0 && o.Resize.Exact != Size{}:
		return errors.New("the images cannot be resized both by their short side and to an exact size; choose one")
	case o.Resize.Short < 0 || o.Resize.Short > maxSide:
		return fmt.Errorf("resize to %d: want a length from 1 to %d", o.Resize.Short, maxSide)
	case !o.Resize.Exact.valid() || !o.Crop.valid():
		return fmt.Errorf("resize to %v, crop to %v: want sides from 1 to %d", o.Resize.Exact, o.Crop, maxSide)
	case !finite(o.Scale):
		return fmt.Errorf("scale %v: want a finite number", o.Scale)
	case !slices.Contains([]Layout{AutoLayout, NCHW, NHWC}, o.Layout):
		return unknown("layout", string(o.Layout), layouts())
	case !slices.Contains([]Order{"", RGB, BGR}, o.Order):
		return unknown("channel order", string(o.Order), orders())
	}
	for _, v := range o.Mean {
		if !finite(v) {
			return fmt.Errorf("mean %v: want finite numbers", o.Mean)
		}
	}
	for _, v := range o.Std {
		if !finite(v) || v == 0 {
			return fmt.Errorf("std %v: want finite numbers other than 0", o.Std)
		}
	}
	return nil
}

// valid tells whether the size is zero, meaning unset, or that of an image.
func (s Size) valid() bool {
	return s == Size{} || s.Height > 0 && s.Width > 0 && s.Height <= maxSide && s.Width <= maxSide
}

// maxSide bounds the sides of an image that is asked for.
const maxSide = 1 << 16
