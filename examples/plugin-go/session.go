package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	v1 "example.com/sluice/plugin-go/gen/sluice/plugin/v1"
)

// session is one handler and the calls that run for it.
type session struct {
	plugin  *plugin
	out     chan *v1.PluginMessage
	over    chan struct{}
	overBy  sync.Once
	gone    <-chan struct{}
	calls   sync.WaitGroup
	mu      sync.RWMutex
	handler Handler
	checks  map[uint32]CheckFunc
	rules   map[uint32]*v1.Rule
}

// gathered adds what waits already.
func (s *session) gathered(first *v1.PluginMessage) []*v1.PluginMessage {
	messages := []*v1.PluginMessage{first}
	for len(messages) < batch {
		select {
		case message := <-s.out:
			messages = append(messages, message)
		default:
			return messages
		}
	}
	return messages
}

func (s *session) send(message *v1.PluginMessage) {
	select {
	case s.out <- message:
	case <-s.gone:
	}
}

func (s *session) end() { s.overBy.Do(func() { close(s.over) }) }

func (s *session) read(stream v1.Plugin_HandleServer) {
	defer s.end()
	for {
		request, err := stream.Recv()
		if err != nil {
			return // the host has ended the stream, or is gone
		}
		for _, message := range request.Messages {
			s.take(message)
		}
	}
}

func (s *session) take(message *v1.HostMessage) {
	switch kind := message.Kind.(type) {
	case *v1.HostMessage_Ping:
		s.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Pong{Pong: &v1.Pong{}}})
	case *v1.HostMessage_Open:
		s.open(kind.Open)
	case *v1.HostMessage_Prepare:
		s.prepare(kind.Prepare)
	case *v1.HostMessage_Forget:
		s.mu.Lock()
		delete(s.checks, kind.Forget.Slot)
		delete(s.rules, kind.Forget.Slot)
		s.mu.Unlock()
	case *v1.HostMessage_Ask:
		s.mu.RLock()
		check := s.checks[kind.Ask.Slot]
		s.mu.RUnlock()
		s.call(kind.Ask.Call, func() (*v1.PluginMessage, error) {
			if check == nil {
				return nil, fmt.Errorf("no rule has the slot %d", kind.Ask.Slot)
			}
			answer, err := check(kind.Ask.Input, kind.Ask.Call)
			if err != nil {
				return nil, err
			}
			answer.Number = kind.Ask.Call.GetNumber()
			return &v1.PluginMessage{Kind: &v1.PluginMessage_Check{Check: answer}}, nil
		})
	case *v1.HostMessage_Write:
		s.mu.RLock()
		handler, rules := s.handler, make(map[uint32]*v1.Rule, 1)
		for _, entry := range kind.Write.Entries {
			rules[entry.Slot] = s.rules[entry.Slot]
		}
		s.mu.RUnlock()
		s.call(kind.Write.Call, func() (*v1.PluginMessage, error) {
			if err := handler.Write(kind.Write.Entries, rules, kind.Write.Call); err != nil {
				return nil, err
			}
			return &v1.PluginMessage{Kind: &v1.PluginMessage_Done{Done: &v1.Done{Number: kind.Write.Call.GetNumber()}}}, nil
		})
	case *v1.HostMessage_Close:
		s.close()
		s.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Closed{Closed: &v1.Closed{}}})
		s.end()
	} // a kind that this version does not know is ignored; so is Cancel: these calls are short
}

func (s *session) open(open *v1.Open) {
	handler, err := s.opened(open)
	if err != nil {
		s.send(&v1.PluginMessage{Kind: &v1.PluginMessage_OpenFailed{OpenFailed: &v1.OpenFailed{Why: err.Error()}}})
		s.end()
		return
	}
	s.mu.Lock()
	s.handler = handler
	s.mu.Unlock()
	s.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Opened{Opened: &v1.Opened{}}})
}

func (s *session) opened(open *v1.Open) (Handler, error) {
	if open.Contract != contract {
		return nil, fmt.Errorf("the host speaks version %d of the contract, and this plugin %d", open.Contract, contract)
	}
	for _, adapter := range s.plugin.adapters {
		if adapter.Description.Name == open.Adapter {
			return adapter.Open(open.Config.GetMapValue().GetFields(), &Host{Folder: open.Folder, send: s.send})
		}
	}
	return nil, fmt.Errorf("there is no adapter %s", open.Adapter)
}

func (s *session) prepare(prepare *v1.Prepare) {
	prepared := &v1.Prepared{Slot: prepare.Slot}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handler == nil {
		return // a host that opens anew sends its rules along with Open, which was refused
	}
	if prepare.Capability == v1.Capability_CAPABILITY_CHECK {
		check, err := s.handler.Check(prepare.Rule, prepare.Rule.GetParams().GetMapValue().GetFields())
		if err != nil {
			prepared.Why = pointer(err.Error())
		}
		s.checks[prepare.Slot] = check
	}
	s.rules[prepare.Slot] = prepare.Rule
	s.send(&v1.PluginMessage{Kind: &v1.PluginMessage_Prepared{Prepared: prepared}})
}

// call runs in a goroutine of its own, so that a slow call holds up neither the others nor the answer to Ping.
func (s *session) call(call *v1.Call, answer func() (*v1.PluginMessage, error)) {
	select {
	case <-s.plugin.stopping:
		s.send(failed(call, &Unavailable{Why: "the plugin is stopping"}))
		return
	default:
	}
	s.calls.Go(func() {
		defer func() {
			if thrown := recover(); thrown != nil {
				message := failed(call, fmt.Errorf("%v", thrown))
				message.GetFailed().Stack = string(debug.Stack())
				s.send(message)
			}
		}()
		message, err := answer()
		if err != nil {
			message = failed(call, err)
		}
		s.send(message)
	})
}

func failed(call *v1.Call, err error) *v1.PluginMessage {
	result := &v1.Failed{Number: call.GetNumber(), Message: err.Error(), Name: fmt.Sprintf("%T", err)}
	var unavailable *Unavailable
	var rejected *Rejected
	switch {
	case errors.As(err, &unavailable):
		result.Kind = v1.Failed_KIND_UNAVAILABLE
		result.RetryAfterMs = float64(unavailable.RetryAfter.Milliseconds())
	case errors.As(err, &rejected):
		result.Kind = v1.Failed_KIND_REJECTED
		result.Entries = rejected.Entries
	}
	return &v1.PluginMessage{Kind: &v1.PluginMessage_Failed{Failed: result}}
}

// close waits for running calls. Idempotent.
func (s *session) close() {
	s.calls.Wait()
	s.mu.Lock()
	handler := s.handler
	s.handler = nil
	s.mu.Unlock()
	if handler != nil {
		handler.Close()
	}
}
