package compress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// FuzzOffersFile reads files of parts of a factoring, sealed or not, whatever is inside, down to the factors.
func FuzzOffersFile(f *testing.F) {
	key := statsKey{{"model", "7"}}
	site := rewrite.Site{Name: "a", Kernel: decomp.Shape{Groups: 1, Out: 2, In: 3}}
	sum := sha256.Sum256(make([]byte, 40))
	body, err := json.Marshal(offersBody{
		Sites: []*finding{{Site: "a", Energy: 2, Closed: []closedFinding{{
			Method: "svd", Losses: exacts{2, 1, 0}, Bounds: exacts{2, 1, 0}, Factors: []factorBlock{{Offset: 0, Ranks: 1, SHA256: hex.EncodeToString(sum[:])}},
		}}, Refused: map[string]string{"cp": "for a reason"}, Ranks: []rankFinding{{Method: "tt", Rank: decomp.Rank{1}, Loss: 1, Numerical: "none"}}}},
		Axes: []*axisFinding{{Axis: "x", Order: []int{1, 0}, Losses: exacts{2, 1, 0}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, 1, 1, body)
	f.Add(true, 2, 3, body)
	f.Add(true, 1, 1, []byte(`{"Sites":[null],"Axes":[null]}`))
	f.Add(true, 1, 1, []byte(`{"Sites":[{"Site":"a","Closed":[{"Method":"svd","Losses":"AAAAAAAAAAA=","Factors":[{"Offset":-8,"Ranks":9}]}]}]}`))
	f.Add(false, 1, 1, partHead{Key: key, Part: ShardPart{1, 1}}.bytes(offersMagic))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, sealed bool, index, of int, body []byte) {
		data := body
		if sealed {
			data = partHead{Key: key, Part: ShardPart{index, of}}.bytes(offersMagic)
			data = append(binary.LittleEndian.AppendUint64(data, uint64(len(body))), body...)
			first := sha256.Sum256(data)
			data = append(append(data, first[:]...), make([]byte, 40)...)
			whole := sha256.Sum256(data)
			data = append(data, whole[:]...)
		}
		path := filepath.Join(dir, "o.oco")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		a := &Analysis{Sites: []rewrite.Site{site}, Axes: []rewrite.Axis{{Name: "x", Units: 2}}}
		found, err := openOffers(context.Background(), a, []string{path}, key)
		if err != nil {
			return
		}
		defer found.close()
		at := found.sites["a"]
		if at == nil || !sealed && !bytes.HasPrefix(body, []byte(offersMagic)) {
			t.Fatalf("findings %+v of a file that has none", found)
		}
		for i := range at.Closed {
			c := &at.Closed[i]
			groups, err := at.from.factors(c, site.Kernel)
			if err != nil || len(groups) == 0 {
				continue
			}
			made, err := decomp.SVDFromComponents(site.Kernel, c.Losses, groups)
			if err != nil {
				continue
			}
			if _, err := made.Chain(decomp.Rank{1}); err != nil && groups[0].First.Rows > 0 {
				t.Errorf("no chain of rank 1: %v", err)
			}
		}
	})
}
