package integration

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// What stands for a reader's own files: pictures of 224 × 224 pixels, each of a record of
// the demo network's images made larger by whole factors.
const (
	enlarged = 8
	learned  = 240 // in images/
	judged   = 200 // in val/, with labels in val.tsv
)

// pictures puts a reader's own files into a folder: model.onnx, which takes pictures as
// networks for ImageNet do, images/, val/ and val.tsv; and net.onnx with calibration.bin,
// which are the demo network and its images; and the rule for make.
func pictures(t *testing.T, folder string) {
	t.Helper()
	rule, err := os.ReadFile(filepath.Join(moduleRoot(t), "onnx-compress.mk"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "onnx-compress.mk"), string(rule))
	made, err := drawn()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS(made)); err != nil {
		t.Fatal(err)
	}
}

// drawn makes the files once for all documents.
var drawn = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(scratch, "reader")
	records := testmodels.FashionImages()
	size := 1 + testmodels.FashionSize*testmodels.FashionSize
	var labels strings.Builder
	for i := range learned + judged {
		name := fmt.Sprintf("images/%04d.png", i)
		if i >= learned {
			name = fmt.Sprintf("val/%04d.png", i)
			fmt.Fprintf(&labels, "%s\t%d\n", filepath.Base(name), records[i*size])
		}
		if err := drawPicture(filepath.Join(folder, name), records[i*size+1:(i+1)*size]); err != nil {
			return "", err
		}
	}
	m, err := testmodels.Fashion()
	if err != nil {
		return "", err
	}
	if err := onnxio.Write(context.Background(), m, filepath.Join(folder, "net.onnx"), onnxio.WriteOptions{}); err != nil {
		return "", err
	}
	if m, err = forPictures(m); err != nil {
		return "", err
	}
	if err := onnxio.Write(context.Background(), m, filepath.Join(folder, "model.onnx"), onnxio.WriteOptions{}); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "val.tsv"), []byte(labels.String()), 0o644); err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "calibration.bin"), records, 0o644)
})

// drawPicture writes the pixels of a record as a large picture.
func drawPicture(path string, pixels []byte) error {
	side := testmodels.FashionSize * enlarged
	picture := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			picture.SetGray(x, y, color.Gray{pixels[y/enlarged*testmodels.FashionSize+x/enlarged]})
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, picture); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// forPictures puts in front of the demo network what makes its image of a large picture with
// three channels that is normalized as ImageNet's are: an average over every block of pixels,
// and a 1×1 convolution that undoes the normalization and averages the channels.
func forPictures(m *onnxio.Model) (*onnxio.Model, error) {
	mean, std := []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
	weights, bias := make([]float64, 3), 0.0
	for c := range mean {
		weights[c] = std[c] / 3
		bias += mean[c] / 3
	}
	p := graph.Of(m).Parts()
	w, err := onnxio.NewTensor("gray_weight", tensor.Float32, []int{1, 3, 1, 1}, weights)
	if err != nil {
		return nil, err
	}
	b, err := onnxio.NewTensor("gray_bias", tensor.Float32, []int{1}, []float64{bias})
	if err != nil {
		return nil, err
	}
	p.Initializers = append(p.Initializers, w, b)
	input, block := &p.Inputs[0], []int{enlarged, enlarged}
	p.Nodes = slices.Insert(p.Nodes, 0,
		graph.NewNode("AveragePool", "blocks", []string{"picture"}, []string{"blocks"}, graph.Ints("kernel_shape", block...), graph.Ints("strides", block...)),
		graph.NewNode("Conv", "gray", []string{"blocks", "gray_weight", "gray_bias"}, []string{input.Name()}))
	side := testmodels.FashionSize * enlarged
	*input = graph.NewValue("picture", input.Type(), []graph.Dim{input.Dims()[0], {Size: 3}, {Size: side}, {Size: side}})
	out := p.Model()
	return out, out.Check()
}
