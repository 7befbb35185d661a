package main

import (
	"encoding/json"

	"github.com/gorilla/websocket"
)

type joining struct {
	channel string
	client  *client
	answer  *websocket.PreparedMessage
}

type delivery struct {
	channel string
	message *websocket.PreparedMessage
}

// The hub of the chat example, with rooms: one goroutine owns all state, and everything reaches it through channels.
type hub struct {
	rooms     map[string]map[*client]bool
	joined    map[*client][]string
	joins     chan joining
	leaves    chan *client
	broadcast chan delivery
}

func newHub() *hub {
	return &hub{
		rooms:     make(map[string]map[*client]bool),
		joined:    make(map[*client][]string),
		joins:     make(chan joining),
		leaves:    make(chan *client),
		broadcast: make(chan delivery),
	}
}

func (h *hub) join(channel string, c *client, answer *websocket.PreparedMessage) {
	h.joins <- joining{channel, c, answer}
}

func (h *hub) leave(c *client) { h.leaves <- c }

func (h *hub) publish(channel string, data json.RawMessage) {
	text, _ := json.Marshal(publication{"message", channel, data})
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err == nil {
		h.broadcast <- delivery{channel, message}
	}
}

func (h *hub) run() {
	for {
		select {
		case j := <-h.joins:
			room := h.rooms[j.channel]
			if room == nil {
				room = make(map[*client]bool)
				h.rooms[j.channel] = room
			}
			room[j.client] = true
			h.joined[j.client] = append(h.joined[j.client], j.channel)
			h.give(j.client, j.answer)
		case c := <-h.leaves:
			h.forget(c)
			close(c.send)
		case d := <-h.broadcast:
			for c := range h.rooms[d.channel] {
				h.give(c, d.message)
			}
		}
	}
}

// As in the example, a connection whose queue is full is given up.
func (h *hub) give(c *client, message *websocket.PreparedMessage) {
	select {
	case c.send <- message:
	default:
		h.forget(c)
		c.conn.Close()
	}
}

func (h *hub) forget(c *client) {
	for _, channel := range h.joined[c] {
		room := h.rooms[channel]
		delete(room, c)
		if len(room) == 0 {
			delete(h.rooms, channel)
		}
	}
	delete(h.joined, c)
}
