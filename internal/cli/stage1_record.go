package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"rkt/internal/image/tempfile"
)

// maxStage1Record bounds what is read of a record.
const maxStage1Record = 64 << 10

// stage1Record remembers which image in the store a stage1 file is, so that a
// file of a hundred megabytes need not be read at every start. It counts only
// as long as the file's inode is untouched, and only root can write it.
type stage1Record struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Size   int64  `json:"size"`
	// Modified and Changed are the inode's times in nanoseconds.
	Modified int64  `json:"modified"`
	Changed  int64  `json:"changed"`
	Image    string `json:"image"`

	file string
}

// stage1RecordDir is where the records are.
func stage1RecordDir(dataDir string) string { return filepath.Join(dataDir, "stage1") }

// sweepStage1Records removes what killed processes left half made.
func (p *program) sweepStage1Records() error {
	dir, err := p.dataDir()
	if err != nil {
		return err
	}
	return tempfile.Sweep(stage1RecordDir(dir))
}

// newStage1Record returns the record for the file as it is now.
func newStage1Record(dataDir, path string, info os.FileInfo) *stage1Record {
	sum := sha256.Sum256([]byte(path))
	r := &stage1Record{Path: path, Size: info.Size(), file: filepath.Join(stage1RecordDir(dataDir), hex.EncodeToString(sum[:16]))}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		r.Device, r.Inode = st.Dev, st.Ino
		r.Modified, r.Changed = st.Mtim.Nano(), st.Ctim.Nano()
	}
	return r
}

// load returns the id of the image if one was recorded for this very file.
func (r *stage1Record) load() string {
	f, err := os.Open(r.file)
	if err != nil {
		return ""
	}
	defer f.Close()
	var found stage1Record
	if json.NewDecoder(io.LimitReader(f, maxStage1Record)).Decode(&found) != nil {
		return ""
	}
	id := found.Image
	found.Image, found.file = "", r.file
	if found != *r {
		return ""
	}
	return id
}

// save records the id of the image.
func (r *stage1Record) save(id string) error {
	dir := filepath.Dir(r.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := tempfile.Sweep(dir); err != nil {
		return err
	}
	saved := *r
	saved.Image = id
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	temp, err := tempfile.Create(dir)
	if err != nil {
		return err
	}
	defer temp.Discard()
	if _, err := temp.File.Write(text); err != nil {
		return err
	}
	return temp.Commit(r.file, "run.stage1-record")
}
