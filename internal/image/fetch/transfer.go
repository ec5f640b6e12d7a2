package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rkt/internal/errhint"
	"rkt/internal/fault"
	"rkt/internal/image/archive"
	"rkt/internal/image/store"
	"rkt/internal/image/web"
)

// transfer is the download of one image under way.
type transfer struct {
	fetcher *Fetcher
	client  *web.Client
	target  *target
	part    *store.Download
	known   *store.Remote // what was fetched before, nil if nothing
	sig     *signature    // nil if none is needed, or none is there yet

	deferred  bool // the signature comes later
	resumed   bool // a part was there already
	unchanged bool // what was fetched before is what is there
	header    http.Header
}

// signature gets the signature, if one is needed and the server doesn't want to
// have it later.
func (tr *transfer) signature(ctx context.Context) (err error) {
	if !tr.fetcher.needsSignature(tr.target.options) {
		return nil
	}
	tr.sig, err = tr.fetcher.signatureOf(ctx, tr.client, tr.target)
	if err == nil && tr.sig == nil {
		tr.deferred = true
		tr.fetcher.info("server requested deferring the signature download")
	}
	return err
}

// deferredSignature asks for the signature once more.
func (tr *transfer) deferredSignature(ctx context.Context) (err error) {
	tr.sig, err = tr.fetcher.signatureOf(ctx, tr.client, tr.target)
	if err == nil && tr.sig == nil {
		err = unsigned(errors.New("error downloading the signature file: the server has deferred it again"))
	}
	return err
}

// image gets the image, or the rest of it.
func (tr *transfer) image(ctx context.Context) error {
	for {
		response, err := tr.ask(ctx)
		if err != nil {
			return err
		}
		again, err := tr.receive(response)
		if err := errors.Join(err, response.Body.Close()); err != nil || !again {
			return err
		}
	}
}

// ask asks for the rest of what is there in part, for what is newer than what is
// known, or for all.
func (tr *transfer) ask(ctx context.Context) (*web.Response, error) {
	r := web.Request{URL: tr.target.aci, From: tr.target.page, Accept: []int{http.StatusOK}, Header: make(map[string]string)}
	v := tr.part.Validator()
	if condition := ifRange(v); tr.part.Size() > 0 && condition != "" {
		tr.resumed = true
		r.Header["Range"] = fmt.Sprintf("bytes=%d-", tr.part.Size())
		r.Header["If-Range"] = condition
		r.Accept = append(r.Accept, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	} else {
		tr.resumed = false
		if tr.known != nil && tr.known.ETag != "" {
			r.Header["If-None-Match"] = tr.known.ETag
			r.Accept = append(r.Accept, http.StatusNotModified)
		}
	}
	return tr.client.Get(ctx, r)
}

// receive takes an answer. It returns true if it is to be asked again.
func (tr *transfer) receive(r *web.Response) (again bool, err error) {
	tr.header = r.Header
	switch r.Status {
	case http.StatusNotModified:
		tr.unchanged = true
		return false, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return true, tr.part.Restart(store.Validator{})
	case http.StatusPartialContent:
		if !continues(r.Header, tr.part) {
			tr.fetcher.info("cannot use cached partial download, resource updated.")
			return true, tr.part.Restart(store.Validator{})
		}
	default:
		if err := tr.restart(r); err != nil {
			return false, err
		}
	}
	return false, tr.copy(r)
}

// restart begins with all of the image.
func (tr *transfer) restart(r *web.Response) error {
	v := validatorOf(r.Header)
	if tr.resumed {
		reason := "resource updated"
		if v == tr.part.Validator() {
			reason = "range request unsupported"
		}
		tr.fetcher.info("cannot use cached partial download, " + reason + ".")
	}
	tr.resumed = false
	return tr.part.Restart(v)
}

// copy adds the body of an answer to the part that is there.
func (tr *transfer) copy(r *web.Response) error {
	if err := tr.part.CheckRoom(r.Length); err != nil {
		return err
	}
	fault.Point("fetch.transfer.before")
	body := tr.fetcher.reported(r, tr.target.label("Downloading ACI"), tr.part.Size())
	err := tr.write(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	fault.Point("fetch.transfer.after")
	return nil
}

// write adds what comes to the part that is there, and checks the signature at
// the same time if all of the image comes now and its name is known.
func (tr *transfer) write(body io.Reader) error {
	to := &imageWriter{part: tr.part}
	name, sig := tr.target.expected.name, tr.sig
	if sig == nil || name == "" || tr.part.Size() > 0 {
		_, err := io.Copy(to, body)
		return err
	}
	check := tr.fetcher.checkEarly(name, sig)
	_, err := io.Copy(io.MultiWriter(to, check), body)
	check.end(err)
	sig.early = check
	return err
}

// imageWriter writes what may be an image.
type imageWriter struct{ part *store.Download }

// Write refuses web pages, which people would otherwise wait for to be refused
// for not being an archive.
func (w *imageWriter) Write(p []byte) (int, error) {
	if w.part.Size() == 0 && strings.HasPrefix(http.DetectContentType(bytes.TrimSpace(p)), "text/html") {
		return 0, errhint.With(ErrNotImage, "look at the URL in a browser: the server may want you to sign in, or the image may be elsewhere")
	}
	return w.part.Write(p)
}

// mayGoOn says whether what has come of an image is of use to the next who asks
// for it.
func (tr *transfer) mayGoOn(err error) bool {
	return !errors.Is(err, store.ErrNoSpace) && !errors.Is(err, archive.ErrTooLarge) && !errors.Is(err, ErrNotImage)
}

// note writes down what is known of the image now.
func (tr *transfer) note(id string) error {
	r := store.Remote{
		URL: tr.target.aci, ETag: tr.header.Get("ETag"), MaxAge: maxAgeOf(tr.header),
		Downloaded: time.Now().UTC(), ID: id,
	}
	if tr.fetcher.needsSignature(tr.target.options) && tr.target.options.SignaturePath == "" {
		r.Signature = tr.target.signature
	}
	if tr.unchanged && r.ETag == "" {
		r.ETag = tr.known.ETag
	}
	return tr.fetcher.Store.SetRemote(r)
}

// validatorOf returns what tells the version of an answer's body from another,
// if the server has something that is sure to.
func validatorOf(h http.Header) store.Validator {
	var v store.Validator
	if etag := h.Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		v.ETag = etag
	}
	// A date tells versions apart only if there was time for no other since:
	// RFC 9110, 8.8.2.2.
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	now, nowErr := http.ParseTime(h.Get("Date"))
	if err == nil && nowErr == nil && now.Sub(modified) >= time.Second {
		v.LastModified = h.Get("Last-Modified")
	}
	return v
}

// ifRange returns the value of the header If-Range, empty if there is none.
func ifRange(v store.Validator) string {
	if v.ETag != "" {
		return v.ETag
	}
	return v.LastModified
}

// continues says whether a part of a body is the rest of what is there.
func continues(h http.Header, part *store.Download) bool {
	saved, sent := part.Validator(), validatorOf(h)
	if saved.ETag != "" && sent.ETag != "" && saved.ETag != sent.ETag {
		return false
	}
	unit, rest, _ := strings.Cut(h.Get("Content-Range"), " ")
	first, _, ok := strings.Cut(rest, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	return ok && err == nil && unit == "bytes" && start == part.Size()
}

// maxAgeOf returns for how many seconds an answer may be used again.
func maxAgeOf(h http.Header) int64 {
	var age int64
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64); err == nil && n > 0 {
					age = n
				}
			}
		}
	}
	return age
}
