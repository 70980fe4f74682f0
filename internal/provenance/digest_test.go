package provenance

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestDataDigestOfBrokenLink: an image that cannot be read, among others that can, has a part in the digest and is no error.
func TestDataDigestOfBrokenLink(t *testing.T) {
	folder := t.TempDir()
	put := func(name string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("a.png")
	digest := func() string {
		t.Helper()
		d, err := DataDigest(context.Background(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	whole := digest()
	if err := os.Symlink("nowhere", filepath.Join(folder, "b.png")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	broken := digest()
	put("nowhere")
	if mended := digest(); broken == whole || broken == mended {
		t.Error("the digest does not see the link")
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := DataDigest(cancelled, folder); err == nil {
		t.Error("a digest after the context has ended")
	}
}
