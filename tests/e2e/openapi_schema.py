"""openapi_schema: holds bodies and answers to the schemas of an OpenAPI document: as many words of them as ours has, and stricter than for clients,
since a member that no schema has is a fault here.

SPDX-License-Identifier: MIT"""
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
WORDS = {"$ref", "allOf", "anyOf", "type", "enum", "required", "properties", "additionalProperties", "items", "nullable", "format", "description"}


class Wrong(AssertionError):
    pass


class Schemas:
    def __init__(self, document):
        self.named = document["components"]["schemas"]
        self.seen = set()  # members that some answer had: (name of the schema, path inside it)

    def members(self):
        """All that are described, as in seen."""
        found = set()
        for name in self.named:
            self._walk(self.named[name], (name, ""), found)
        return found

    def _walk(self, schema, at, found):
        assert set(schema) <= WORDS, (at, set(schema) - WORDS)
        if "$ref" in schema:
            assert schema["$ref"].rpartition("/")[2] in self.named, (at, schema)
        for one in schema.get("allOf", []) + schema.get("anyOf", []):
            self._walk(one, at, found)
        for name, one in schema.get("properties", {}).items():
            found.add((at[0], f"{at[1]}.{name}"))
            self._walk(one, (at[0], f"{at[1]}.{name}"), found)
        for word in ("items", "additionalProperties"):
            if word in schema:
                self._walk(schema[word], (at[0], at[1] + "[]"), found)

    def check(self, value, schema, at=("", "")):
        """Raises Wrong, or notes in seen which members there were."""
        seen = set()
        self._check(value, [(schema, at)], at, seen)
        self.seen |= seen

    def _flat(self, parts):
        """Schemas that hold at once, with references and allOf resolved; each with its name."""
        for schema, at in parts:
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                yield from self._flat([(self.named[name], (name, ""))])
            elif "allOf" in schema:
                yield from self._flat([(one, at) for one in schema["allOf"]])
            else:
                yield schema, at

    def _check(self, value, parts, at, seen):
        flat = list(self._flat(parts))
        if any(set(schema) <= {"description"} for schema, _ in flat):
            return
        for schema, where in flat:
            if "anyOf" in schema:
                self._check_any(value, [(one, where) for one in schema["anyOf"]], where, seen)
                return
        for schema, where in flat:
            wanted = TYPES.get(schema.get("type"), object)
            if value is None and schema.get("nullable"):
                continue
            if not isinstance(value, wanted) or (isinstance(value, bool) and wanted in (int, (int, float))):
                raise Wrong(f"{where}: {value!r} is no {schema['type']}")
            if value not in schema.get("enum", [value]):
                raise Wrong(f"{where}: {value!r} is none of {schema['enum']}")
        if isinstance(value, dict):
            self._check_object(value, flat, at, seen)
        if isinstance(value, list):
            for one in value:
                self._check(one, [(schema["items"], (where[0], where[1] + "[]")) for schema, where in flat if "items" in schema], at, seen)

    def _check_any(self, value, choices, at, seen):
        faults = []
        for choice in choices:
            mine = set()
            try:
                self._check(value, [choice], at, mine)
            except Wrong as wrong:
                faults.append(str(wrong))
            else:
                seen |= mine
                return
        raise Wrong(f"{at}: none of: {'; '.join(faults)}")

    def _check_object(self, value, flat, at, seen):
        for schema, where in flat:
            for name in schema.get("required", []):
                if name not in value:
                    raise Wrong(f"{where}: {name} is missing in {value!r}")
        for name, one in value.items():
            parts = [(schema["properties"][name], (where[0], f"{where[1]}.{name}")) for schema, where in flat if name in schema.get("properties", {})]
            seen |= {where for _, where in parts}
            parts = parts or [(schema["additionalProperties"], (where[0], where[1] + "[]")) for schema, where in flat if "additionalProperties" in schema]
            if not parts:
                raise Wrong(f"{at}: no schema has {name}: {value!r}")
            self._check(one, parts, at, seen)
