package provision

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// memberLimit is larger than any library we know and keeps a wrong archive from filling the disk.
const memberLimit = 256 << 20

var errNoMember = errors.New("no such file in the archive")

// extract writes one regular file of a .whl/.zip or .tgz archive to target, which must not
// exist. The archive's own names never become paths on disk; all the same, an archive that
// holds a name leading out of its folder is refused as a whole.
func extract(archive, member, target string) error {
	var err error
	switch ext := filepath.Ext(archive); ext {
	case ".whl", ".zip":
		err = extractZip(archive, member, target)
	case ".tgz":
		err = extractTar(archive, member, target)
	default:
		err = fmt.Errorf("unknown kind of archive %q", ext)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", filepath.Base(archive), member, err)
	}
	return nil
}

func checkName(name string) error {
	if strings.Contains(name, `\`) || !filepath.IsLocal(path.Clean(name)) {
		return fmt.Errorf("the archive holds the unsafe name %q", name)
	}
	return nil
}

func extractZip(archive, member, target string) error {
	r, err := zip.OpenReader(archive)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	defer func() { _ = r.Close() }()
	var found *zip.File
	for _, f := range r.File {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if f.Name == member && found == nil {
			found = f
		}
	}
	if found == nil {
		return errNoMember
	}
	if !found.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	body, err := found.Open()
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return save(target, body)
}

func extractTar(archive, member, target string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	found := false
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if err := checkName(header.Name); err != nil {
			return err
		}
		if header.Name != member || found {
			continue
		}
		if header.Typeflag != tar.TypeReg {
			return errors.New("not a regular file")
		}
		if err := save(target, r); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return errNoMember
	}
	return nil
}

// save writes a stream to a new file and syncs it.
func save(target string, body io.Reader) (err error) {
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	n, err := io.Copy(f, io.LimitReader(body, memberLimit+1))
	if err != nil {
		return err
	}
	if n > memberLimit {
		return fmt.Errorf("larger than %d bytes", memberLimit)
	}
	return f.Sync()
}

// checkSum compares a file's SHA-256 with the one that is wanted.
func checkSum(name, want string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-256 %s, wanted %s", name, got, want)
	}
	return nil
}
