// A comparison server for channels: Go and gorilla/websocket, built like the chat example of that library. Each connection
// has two goroutines and a queue of messages; a hub knows the rooms. A message is framed once for all its subscribers
// (PreparedMessage). Nothing is stored or recovered; who does not keep up is disconnected, as in the example.
//
// Started by the benchmark: answers {"type":"ready","port":N} on standard output, ends when standard input does.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// The figures of the chat example, but for the queue: 256 messages a connection there too.
	writeWait  = 10 * time.Second
	pongWait   = 60 * time.Second
	pingPeriod = pongWait * 9 / 10
	queueSize  = 256
)

type request struct {
	Type    string          `json:"type"`
	ID      int             `json:"id"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

type publication struct {
	Type    string          `json:"type,omitempty"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

type subscribed struct {
	Type    string `json:"type"`
	ID      int    `json:"id"`
	Channel string `json:"channel"`
}

// relay hands a publication to all instances; nil while there is only this one.
var relay func(channel string, data json.RawMessage)

// Buffers are shared by connections that are not writing, as the documentation advises for many idle connections.
var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	WriteBufferPool: &sync.Pool{},
	CheckOrigin:     func(*http.Request) bool { return true },
}

type client struct {
	hub  *hub
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
}

func (c *client) readPump() {
	defer func() {
		c.hub.leave(c)
		c.conn.Close()
	}()
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		_, message, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		var asked request
		if json.Unmarshal(message, &asked) != nil {
			return
		}
		if asked.Type == "publish" {
			if relay != nil {
				relay(asked.Channel, asked.Data)
			} else {
				c.hub.publish(asked.Channel, asked.Data)
			}
			continue
		}
		answer, _ := json.Marshal(subscribed{"subscribed", asked.ID, asked.Channel})
		prepared, _ := websocket.NewPreparedMessage(websocket.TextMessage, answer)
		c.hub.join(asked.Channel, c, prepared)
	}
}

func (c *client) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case message, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, []byte{})
				return
			}
			if c.conn.WritePreparedMessage(message) != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

func serve(h *hub, w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{hub: h, conn: conn, send: make(chan *websocket.PreparedMessage, queueSize)}
	go c.writePump()
	go c.readPump()
}

func followCommands() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var command struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(lines.Bytes(), &command) == nil && command.Type == "collect" {
			debug.FreeOSMemory()
			fmt.Println(`{"type":"collected"}`)
		}
	}
	os.Exit(0)
}

func main() {
	redisAddress := flag.String("redis", "", "address of Redis, to run with other instances")
	flag.Parse()
	log.SetOutput(os.Stderr)
	h := newHub()
	go h.run()
	if *redisAddress != "" {
		if err := connectRedis(*redisAddress, h); err != nil {
			log.Fatal(err)
		}
	}
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { serve(h, w, r) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go followCommands()
	fmt.Printf("{\"type\":\"ready\",\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, nil))
}
