package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/trust"
	"rkt/internal/image/web"
)

// maxSignature bounds the size of a signature file in bytes.
const maxSignature = 1 << 20

// signature is a detached signature, as it came and as it was read.
type signature struct {
	text    []byte
	packets *trust.Signature
	early   *earlyCheck // nil if nobody has looked at the image's bytes yet
}

func readSignature(r io.Reader) (*signature, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSignature))
	if err != nil {
		return nil, err
	}
	packets, err := trust.ReadSignature(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return &signature{text: text, packets: packets}, nil
}

// signatureOf gets the signature of an image on a server: from the file that
// the user has named, or from where the signature should be. It is nil if the
// server says that it will have it later.
func (f *Fetcher) signatureOf(ctx context.Context, client *web.Client, t *target) (*signature, error) {
	text, err := f.signatureText(ctx, client, t)
	if text == nil || err != nil {
		return nil, err
	}
	sig, err := readSignature(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if t.expected.name != "" {
		// An image that nobody vouches for need not be downloaded to know that.
		if _, err := f.Keys.CheckIssuer(t.expected.name, sig.packets); err != nil {
			return nil, err
		}
	}
	return sig, nil
}

func (f *Fetcher) signatureText(ctx context.Context, client *web.Client, t *target) (text []byte, err error) {
	if t.options.SignaturePath != "" {
		return readSignatureFile(t.options.SignaturePath)
	}
	ctx, cancel := client.Small(ctx)
	defer cancel()
	f.info("downloading signature from " + t.signature)
	response, err := client.Get(ctx, web.Request{URL: t.signature, From: t.page, Accept: []int{http.StatusOK, http.StatusAccepted}})
	var status *web.StatusError
	if errors.As(err, &status) {
		return nil, unsigned(fmt.Errorf("error downloading the signature file: %w", err))
	}
	if err != nil {
		return nil, fmt.Errorf("error downloading the signature file: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.Status == http.StatusAccepted {
		return nil, nil
	}
	body := f.reported(response, t.label("Downloading signature"), 0)
	defer body.Close()
	text, err = io.ReadAll(io.LimitReader(body, maxSignature+1))
	if err == nil && len(text) > maxSignature {
		err = fmt.Errorf("it has more than %d bytes", maxSignature)
	}
	if err != nil {
		return nil, fmt.Errorf("error downloading the signature file: %w", err)
	}
	return append([]byte{}, text...), nil
}

// unsigned adds to an error what can be done without a signature.
func unsigned(err error) error {
	hint := errhint.Of(err)
	if hint == "" {
		hint = "name the signature with --signature, or skip the check with --insecure-options=image"
	}
	if !errors.Is(err, ErrUnsigned) {
		err = fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return errhint.With(err, hint)
}

func signaturePath(file string, o Options) string {
	if o.SignaturePath != "" {
		return o.SignaturePath
	}
	return file + image.SignatureExtension
}

func readSignatureFile(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, unsigned(fmt.Errorf("error opening signature file: %w", err))
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxSignature))
	if err != nil {
		return nil, fmt.Errorf("error reading signature file: %w", err)
	}
	return append([]byte{}, b...), nil
}

// openRegular opens a file that has an end; it does not wait for the writer of
// a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
