package compress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// FuzzStatsFile reads files of statistics: of this calibration or another, sealed or not, whatever is inside.
func FuzzStatsFile(f *testing.F) {
	key := statsKey{{"model", "7"}}
	var body bytes.Buffer
	for range 2 {
		s := calib.Stats{Site: "a", Positions: 4, Samples: 2, OutputShape: []int{3}, A: []*linalg.Matrix{linalg.Identity(2)}, Mean: [][]float64{{0, 1}}}
		if _, err := s.WriteTo(&body); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(true, body.Bytes(), uint8(2))
	f.Add(true, body.Bytes(), uint8(3))
	f.Add(false, body.Bytes(), uint8(1))
	f.Add(true, []byte{}, uint8(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, sealed bool, body []byte, sites uint8) {
		data := append(statsHeadOf(collected, key), body...)
		if sealed {
			sum := sha256.Sum256(data)
			data = append(data, sum[:]...)
		} else {
			data = body
		}
		path := filepath.Join(dir, "s.stats")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := readStatsFile(context.Background(), path, key)
		if err != nil || s == nil {
			if sealed {
				t.Errorf("a sealed file with the key is not read: %v", err)
			}
			return
		}
		defer s.from.Close()
		list, err := s.read(context.Background(), make([]rewrite.Site, sites%8))
		if err == nil && len(list) != int(sites%8) {
			t.Errorf("%d statistics of %d sites", len(list), sites%8)
		}
	})
}
