// Renders the templates of a chart as helm does, which makes them by this same package of Go's, with those of its functions that our chart
// calls; any other one is a fault. Values come as JSON on stdin.
//
//	render RELEASE TEMPLATE... <values.json
//
// SPDX-License-Identifier: MIT
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"strconv"
	"text/template"
)

func main() {
	var values map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&values); err != nil {
		log.Fatal(err)
	}
	functions := template.FuncMap{
		"kindIs":    func(kind string, value any) bool { return reflect.ValueOf(value).Kind().String() == kind },
		"quote":     func(value any) string { return strconv.Quote(fmt.Sprint(value)) },
		"sha256sum": func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) },
		"toJson": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
	}
	data := map[string]any{"Values": values, "Release": map[string]any{"Name": os.Args[1]}}
	for _, path := range os.Args[2:] {
		text, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		parsed, err := template.New(path).Option("missingkey=error").Funcs(functions).Parse(string(text))
		if err == nil {
			fmt.Println("---")
			err = parsed.Execute(os.Stdout, data)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
