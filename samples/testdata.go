package samples

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// testData are test_data_set_* folders as ONNX's test models have them. Each is one
// sample, a whole batch.
type testData struct {
	root    string
	folders []string
	inputs  []InputSpec
}

// testDataName matches the folders' names.
var testDataName = regexp.MustCompile(`^test_data_set_(\d+)$`)

// findTestData returns the folders of test data that path holds or is, in the order of
// their numbers; none where it is something else.
func findTestData(path string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(path, "input_0.pb")); err == nil {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !testDataName.MatchString(e.Name()) {
			continue
		}
		if info, err := os.Stat(filepath.Join(path, e.Name())); err == nil && info.IsDir() { // or a link to one
			names = append(names, e.Name())
		}
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(testDataName.FindStringSubmatch(name)[1]) // too large a number sorts last
		return n
	}
	slices.SortStableFunc(names, func(a, b string) int { return number(a) - number(b) })
	for i, n := range names {
		names[i] = filepath.Join(path, n)
	}
	return names, nil
}

func openTestData(root string, folders []string, o SourceOptions, inputs []InputSpec) (Source, error) {
	if o.Labels != "" || o.Scale != 0 || o.Mean != nil || o.Std != nil || o.Order == BGR || (o.Resize != Resize{}) || (o.Crop != Size{}) {
		return nil, fmt.Errorf("%s: test data sets are fed as they are; leave out labels and the options that prepare images", root)
	}
	return &testData{root, folders, inputs}, nil
}

func (s *testData) Len() int         { return len(s.folders) }
func (s *testData) Describe() string { return fmt.Sprintf("%d test data sets in %s", s.Len(), s.root) }

func (s *testData) Sample(i int) (Sample, error) {
	folder := s.folders[i]
	out := Sample{Name: filepath.Base(folder), Label: -1, Inputs: map[string]tensor.Dense{}, Whole: true}
	tensors, names := make([]tensor.Dense, len(s.inputs)), make([]string, len(s.inputs))
	for k := range s.inputs {
		path := filepath.Join(folder, fmt.Sprintf("input_%d.pb", k))
		data, err := bounded.ReadFile(path, maxSampleBytes)
		if err != nil {
			return Sample{}, fmt.Errorf("test data for the inputs %s: %w", inputsText(s.inputs), err)
		}
		if tensors[k], names[k], err = parseTensor(data); err != nil {
			return Sample{}, explained(path, fmt.Errorf("%s: %w", path, err))
		}
	}
	byName := !slices.ContainsFunc(s.inputs, func(in InputSpec) bool { return !slices.Contains(names, in.Name) })
	for k, in := range s.inputs {
		if byName {
			k = slices.Index(names, in.Name)
		}
		out.Inputs[in.Name] = tensors[k]
	}
	return out, nil
}

// parseTensor reads a serialized TensorProto.
func parseTensor(data []byte) (tensor.Dense, string, error) {
	t, err := onnxio.ParseTensor(data)
	if err != nil {
		return tensor.Dense{}, "", err
	}
	d, err := t.Dense()
	if err == nil {
		err = d.Check()
	}
	return d, t.Name(), err
}
