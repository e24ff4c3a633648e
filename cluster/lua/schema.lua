-- May a program of this layout start? The first call of a logic; comets ask as they take their lease.
-- layout, lease -> 'ok' | 'newer' | 'older', and the layout that the data have
return {schema(ARGV[1], time(), ARGV[2])}
