package service

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/metadata"
)

// question is a request that a pod may make.
type question struct {
	*http.Request
	pod *metadata.Registration
}

// handler answers who has the token of a pod and an address of the same pod.
func (s *Service) handler() http.Handler {
	answers := s.answers()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/acMetadata/v1/")
		pod := s.asking(r.RemoteAddr, token)
		switch {
		case pod == nil:
			w.WriteHeader(http.StatusUnauthorized)
			return
		case !ok:
			http.NotFound(w, r)
			return
		}
		for _, a := range answers {
			if args, ok := match(a.path, rest); ok {
				if r.Method != a.method {
					w.Header().Set("Allow", a.method)
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				a.give(w, question{r, pod}, args)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// asking returns the pod that a request is of, nil if it is of none.
func (s *Service) asking(remote, token string) *metadata.Registration {
	source, ok := sourceOf(remote)
	if !ok {
		return nil
	}
	for _, pod := range s.at(source) {
		// The file counts: a pod's address may be another's before this program
		// has heard of the pod's end.
		if subtle.ConstantTimeCompare([]byte(pod.Token), []byte(token)) == 1 && s.dir.Has(pod.UUID) {
			return pod
		}
	}
	return nil
}

// answer is what there is at a path. A word "*" of it is any word, "**" at its end
// any words.
type answer struct {
	method, path string
	give         func(w http.ResponseWriter, q question, args []string)
}

func (s *Service) answers() []answer {
	get := http.MethodGet
	return []answer{
		{get, "pod/annotations", func(w http.ResponseWriter, q question, _ []string) { giveJSON(w, q.podManifest().Annotations) }},
		{get, "pod/annotations/**", func(w http.ResponseWriter, q question, args []string) {
			giveAnnotation(w, q.podManifest().Annotations, args[0])
		}},
		{get, "pod/manifest", func(w http.ResponseWriter, q question, _ []string) { give(w, typeJSON, q.pod.Pod) }},
		{get, "pod/uuid", func(w http.ResponseWriter, q question, _ []string) { give(w, typeText, []byte(q.pod.UUID)) }},
		{get, "apps/*/annotations", ofApp(func(w http.ResponseWriter, a app, _ []string) { giveJSON(w, a.annotations()) })},
		{get, "apps/*/annotations/**", ofApp(func(w http.ResponseWriter, a app, args []string) {
			giveAnnotation(w, a.annotations(), args[1])
		})},
		{get, "apps/*/image/manifest", ofApp(func(w http.ResponseWriter, a app, _ []string) { give(w, typeJSON, a.image) })},
		{get, "apps/*/image/id", ofApp(func(w http.ResponseWriter, a app, _ []string) { give(w, typeText, []byte(a.Image.ID)) })},
		{http.MethodPost, "pod/hmac/sign", s.sign},
		{http.MethodPost, "pod/hmac/verify", s.verify},
	}
}

// match compares a path with that of an answer, and returns what the stars are.
func match(pattern, path string) (args []string, ok bool) {
	words := strings.Split(pattern, "/")
	for i, word := range words {
		if word == "**" {
			return append(args, path), path != ""
		}
		head, rest, more := strings.Cut(path, "/")
		switch {
		case word == "*" && head != "":
			args = append(args, head)
		case word != head:
			return nil, false
		}
		if more != (i+1 < len(words)) {
			return nil, false
		}
		path = rest
	}
	return args, true
}

// podManifest is one that was parsed when it was registered.
func (q question) podManifest() *appc.PodManifest {
	manifest, err := appc.ParsePodManifest(q.pod.Pod)
	if err != nil {
		return &appc.PodManifest{}
	}
	return manifest
}

// app is one of the pod that asks.
type app struct {
	appc.RuntimeApp
	image json.RawMessage
}

// ofApp finds the app that a path names.
func ofApp(give func(w http.ResponseWriter, a app, args []string)) func(http.ResponseWriter, question, []string) {
	return func(w http.ResponseWriter, q question, args []string) {
		for _, a := range q.podManifest().Apps {
			if string(a.Name) == args[0] {
				give(w, app{a, q.pod.Images[args[0]]}, args)
				return
			}
		}
		http.NotFound(w, q.Request)
	}
}

// annotations are the image's, overridden by those of the app in the pod.
func (a app) annotations() appc.Annotations {
	var all appc.Annotations
	if manifest, err := appc.ParseImageManifest(a.image); err == nil {
		all = append(all, manifest.Annotations...)
	}
	for _, own := range a.Annotations {
		all.Set(own.Name, own.Value)
	}
	return all
}

// Source of the types: rkt 1.30.
const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=us-ascii"
)

func give(w http.ResponseWriter, kind string, content []byte) {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(content)
}

func giveJSON(w http.ResponseWriter, annotations appc.Annotations) {
	if annotations == nil {
		annotations = appc.Annotations{}
	}
	b, err := json.Marshal(annotations)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	give(w, typeJSON, b)
}

func giveAnnotation(w http.ResponseWriter, annotations appc.Annotations, name string) {
	value, ok := annotations.Get(name)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "no such annotation\n")
		return
	}
	give(w, typeText, []byte(value))
}
