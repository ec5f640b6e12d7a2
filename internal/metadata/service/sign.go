package service

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"rkt/internal/fault"
	"rkt/internal/metadata"
)

const (
	// maxForm bounds what a pod may have signed.
	maxForm  = 1 << 20
	keyBytes = sha512.BlockSize
)

// signingKey returns the key of a directory, which a service that was killed
// shares with those after it.
func signingKey(dir metadata.Directory) ([]byte, error) {
	path := filepath.Join(dir.Registrations(), "key")
	key, err := os.ReadFile(path)
	if err == nil && len(key) == keyBytes {
		return key, nil
	}
	if err == nil {
		err = fmt.Errorf("%s has not %d bytes", path, keyBytes)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(path+".new", key, 0o600); err != nil {
		return nil, err
	}
	fault.Point("metadata.key.before-rename")
	err = os.Rename(path+".new", path)
	fault.Point("metadata.key.after-rename")
	return key, err
}

// signature is of a text by a pod.
func (s *Service) signature(pod uuid.UUID, content string) []byte {
	h := hmac.New(sha512.New, s.key)
	h.Write(pod[:])
	h.Write([]byte(content))
	return h.Sum(nil)
}

// sign signs a text in the name of the pod that asks.
func (s *Service) sign(w http.ResponseWriter, q question, _ []string) {
	id, err := uuid.Parse(q.pod.UUID)
	if err != nil || !readForm(w, q, "content") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	signature := s.signature(id, q.PostForm.Get("content"))
	give(w, typeText, []byte(base64.StdEncoding.EncodeToString(signature)))
}

// verify tells whether a text was signed by the pod that is named.
func (s *Service) verify(w http.ResponseWriter, q question, _ []string) {
	if !readForm(w, q, "uuid", "content", "signature") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id, err := uuid.Parse(q.PostForm.Get("uuid"))
	given, decodeErr := base64.StdEncoding.DecodeString(q.PostForm.Get("signature"))
	switch {
	case err != nil || decodeErr != nil:
		w.WriteHeader(http.StatusBadRequest)
	case hmac.Equal(given, s.signature(id, q.PostForm.Get("content"))):
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

// readForm reads what was posted, which must have all the given values.
func readForm(w http.ResponseWriter, q question, names ...string) bool {
	q.Body = http.MaxBytesReader(w, q.Body, maxForm)
	if err := q.ParseForm(); err != nil {
		return false
	}
	for _, name := range names {
		if !q.PostForm.Has(name) {
			return false
		}
	}
	return true
}
