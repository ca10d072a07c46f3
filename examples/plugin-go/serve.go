package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	v1 "example.com/sluice/plugin-go/gen/sluice/plugin/v1"
)

const (
	contract = 1
	// How many messages may wait for the host.
	queued = 4096
	// How many are sent at once.
	batch = 256
)

// Adapter is a kind of backend; Open makes a handler of it, once for each that a policy declares. It must not wait for its backend.
type Adapter struct {
	Description *v1.Adapter
	Open        func(config map[string]*v1.Value, host *Host) (Handler, error)
}

// CheckFunc answers one call; the caller fills in its number.
type CheckFunc func(input map[string]*v1.Value, call *v1.Call) (*v1.CheckAnswer, error)

// Handler has a method for each capability; NoHandler has all of them, for those that an adapter does not serve.
type Handler interface {
	Check(rule *v1.Rule, params map[string]*v1.Value) (CheckFunc, error)
	Write(entries []*v1.Entry, rules map[uint32]*v1.Rule, call *v1.Call) error
	Close()
}

type NoHandler struct{}

func (NoHandler) Check(*v1.Rule, map[string]*v1.Value) (CheckFunc, error) {
	return nil, errors.New("it serves no check")
}
func (NoHandler) Write([]*v1.Entry, map[uint32]*v1.Rule, *v1.Call) error {
	return errors.New("it serves no report")
}
func (NoHandler) Close() {}

// Unavailable: the backend cannot be asked now; reports are retried.
type Unavailable struct {
	Why        string
	RetryAfter time.Duration
}

// Rejected: the same input would fail again. Entries are indexes; none: all.
type Rejected struct {
	Why     string
	Entries []uint32
}

func (e *Unavailable) Error() string { return e.Why }
func (e *Rejected) Error() string    { return e.Why }

// Host is what a handler gets of Sluice.
type Host struct {
	Folder   string
	send     func(*v1.PluginMessage)
	notReady atomic.Bool
}

func (h *Host) Log(level v1.LogLine_Level, message string, fields map[string]*v1.Value) {
	h.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Log{Log: &v1.LogLine{Level: level, Message: message, Fields: fields}}})
}

// Ready is sent when it changes.
func (h *Host) Ready(ready bool, why string) {
	if h.notReady.Swap(!ready) == ready {
		h.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Readiness{Readiness: &v1.Readiness{Ready: ready, Why: why}}})
	}
}

func (h *Host) Count(name, help string, amount float64) {
	h.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Counted{Counted: &v1.Counted{Name: name, Help: help, Amount: amount}}})
}

// ---------------------------------------------------------------- the service

type plugin struct {
	v1.UnimplementedPluginServer
	software string
	adapters []Adapter
	// Closed when the process stops: calls are refused, and streams end when theirs are answered.
	stopping chan struct{}
}

func (p *plugin) Describe(context.Context, *v1.DescribeRequest) (*v1.DescribeResponse, error) {
	response := &v1.DescribeResponse{Contract: contract, Software: p.software}
	for _, adapter := range p.adapters {
		response.Adapters = append(response.Adapters, adapter.Description)
	}
	return response, nil
}

// Handle serves one handler: this goroutine sends, one reads, and each call has one of its own.
func (p *plugin) Handle(stream v1.Plugin_HandleServer) error {
	s := &session{
		plugin: p,
		out:    make(chan *v1.PluginMessage, queued),
		over:   make(chan struct{}),
		gone:   stream.Context().Done(),
		checks: map[uint32]CheckFunc{},
		rules:  map[uint32]*v1.Rule{},
	}
	defer s.close()
	go s.read(stream)
	stopping := p.stopping
	for {
		select {
		case message := <-s.out:
			if err := stream.Send(&v1.HandleResponse{Messages: s.gathered(message)}); err != nil {
				return err
			}
		case <-s.over:
			if len(s.out) == 0 {
				return nil
			}
		case <-stopping:
			stopping = nil
			go func() {
				s.calls.Wait()
				s.end()
			}()
		}
	}
}
