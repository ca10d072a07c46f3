package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "example.com/sluice/plugin-go/gen/sluice/plugin/v1"
)

const (
	permissionDenied = 7
	reloadEvery      = 500 * time.Millisecond
)

// revokedAdapter is check-revoked: it refuses the users on a list, a file with a user a line that may change at any time.
var revokedAdapter = Adapter{
	Description: &v1.Adapter{
		Name:    "check-revoked",
		Summary: "Refuses users whose access was revoked.",
		ConfigSchema: `{
			"type": "object",
			"properties": {
				"file": {"type": "string", "minLength": 1, "description": "A file with a user a line; relative to the policy."},
				"contact": {"type": "string", "default": "security", "description": "Who is named in a refusal."},
				"token": {"type": "string", "secret": true, "description": "Never logged; shows that secrets arrive."}
			},
			"required": ["file"],
			"additionalProperties": false
		}`,
		Check: &v1.Check{
			ParamsSchema: `{
				"type": "object",
				"properties": {
					"ignore": {"type": "array", "items": {"type": "string"}, "default": [], "description": "Users who always pass."}
				},
				"additionalProperties": false
			}`,
			Input: inputShape(
				&v1.Field{Name: "user", Type: v1.Type_TYPE_STRING},
				&v1.Field{Name: "at", Type: v1.Type_TYPE_TIMESTAMP, Optional: true},
			),
			Output: shape(&v1.Field{Name: "contact", Type: v1.Type_TYPE_STRING}),
		},
	},
	Open: openRevoked,
}

type revoked struct {
	NoHandler
	host    *Host
	file    string
	contact string
	users   atomic.Pointer[map[string]bool]
	stamp   time.Time
	close   chan struct{}
	closed  sync.WaitGroup
}

// openRevoked checks the config. A list that cannot be read is a handler that is not ready, not a config that is wrong.
func openRevoked(config map[string]*v1.Value, host *Host) (Handler, error) {
	handler := &revoked{
		host:    host,
		file:    filepath.Join(host.Folder, config["file"].GetStringValue()),
		contact: config["contact"].GetStringValue(),
		close:   make(chan struct{}),
	}
	host.Count("revoked_reloads", "How often the list was read.", 0)
	handler.reload()
	handler.closed.Go(handler.watch)
	return handler, nil
}

// Check prepares a rule: what it returns is called for each request. An error here refuses the policy.
func (r *revoked) Check(_ *v1.Rule, params map[string]*v1.Value) (CheckFunc, error) {
	ignore := map[string]bool{}
	for _, user := range params["ignore"].GetListValue().GetValues() {
		if user.GetStringValue() == "" {
			return nil, errors.New("ignore has an empty name")
		}
		ignore[user.GetStringValue()] = true
	}
	return func(input map[string]*v1.Value, _ *v1.Call) (*v1.CheckAnswer, error) {
		users := r.users.Load()
		if users == nil {
			return nil, &Unavailable{Why: r.file + " cannot be read", RetryAfter: reloadEvery}
		}
		user := input["user"].GetStringValue()
		if ignore[user] || !(*users)[user] {
			now := 0.0
			return &v1.CheckAnswer{Decision: &v1.CheckAnswer_Allow{Allow: &v1.Allow{ValidForMs: &now}}}, nil
		}
		deny := &v1.Deny{Code: permissionDenied, Reason: user + " is revoked", Output: map[string]*v1.Value{"contact": text(r.contact)}}
		return &v1.CheckAnswer{Decision: &v1.CheckAnswer_Deny{Deny: deny}}, nil
	}, nil
}

func (r *revoked) Close() {
	close(r.close)
	r.closed.Wait()
}

func (r *revoked) watch() {
	for {
		select {
		case <-r.close:
			return
		case <-time.After(reloadEvery):
			r.reload()
		}
	}
}

func (r *revoked) reload() {
	users, stamp, err := readList(r.file, r.stamp)
	switch {
	case err != nil && r.users.Load() == nil:
		r.host.Ready(false, err.Error())
	case err != nil:
		r.host.Log(v1.LogLine_LEVEL_WARN, "the list cannot be read; the last one stays", map[string]*v1.Value{"why": text(err.Error())})
	case users != nil:
		r.users.Store(&users)
		r.stamp = stamp
		r.host.Count("revoked_reloads", "How often the list was read.", 1)
		r.host.Ready(true, "")
		r.host.Log(v1.LogLine_LEVEL_INFO, "the list is read", map[string]*v1.Value{"users": whole(len(users))})
	}
}

// readList returns nil if the file is as old as `known`.
func readList(path string, known time.Time) (map[string]bool, time.Time, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, known, err
	}
	defer file.Close()
	stats, err := file.Stat()
	if err != nil || stats.ModTime().Equal(known) {
		return nil, known, err
	}
	users := map[string]bool{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if user := strings.TrimSpace(lines.Text()); user != "" {
			users[user] = true
		}
	}
	return users, stats.ModTime(), lines.Err()
}

// linesAdapter is log-lines: it writes each report as a line of JSON.
var linesAdapter = Adapter{
	Description: &v1.Adapter{
		Name:    "log-lines",
		Summary: "Appends reports to a file, as lines of JSON.",
		ConfigSchema: `{
			"type": "object",
			"properties": {"path": {"type": "string", "minLength": 1, "description": "The file, relative to the policy."}},
			"required": ["path"],
			"additionalProperties": false
		}`,
		Report: &v1.Report{
			Input: &v1.Input{Kind: &v1.Input_Any{Any: true}},
			Batch: &v1.BatchDefaults{Max: pointer(uint32(500)), MaxAgeMs: pointer(200.0)},
		},
	},
	Open: func(config map[string]*v1.Value, host *Host) (Handler, error) {
		return &lines{path: filepath.Join(host.Folder, config["path"].GetStringValue())}, nil
	},
}

type lines struct {
	NoHandler
	path string
	mu   sync.Mutex
}

// Write writes what it can: entries that would fail each time are named by Rejected, an unavailable file is Unavailable.
func (l *lines) Write(entries []*v1.Entry, rules map[uint32]*v1.Rule, _ *v1.Call) error {
	var out []byte
	var bad []uint32
	for index, entry := range entries {
		line := map[string]any{"rule": rules[entry.Slot].GetRule(), "id": entry.Id, "time": entry.TimeMs / 1000}
		for name, value := range entry.Input {
			line[name] = plain(value)
		}
		encoded, err := json.Marshal(line)
		if err != nil {
			bad = append(bad, uint32(index))
			continue
		}
		out = append(append(out, encoded...), '\n')
	}
	if err := l.append(out); err != nil {
		return &Unavailable{Why: err.Error(), RetryAfter: 500 * time.Millisecond}
	}
	if bad != nil {
		return &Rejected{Why: fmt.Sprintf("%d reports have a number that JSON does not have", len(bad)), Entries: bad}
	}
	return nil
}

func (l *lines) append(out []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(out)
	return errors.Join(err, file.Close())
}
