//! The testbed in Zig: guests/README.md lists its routes.
const std = @import("std");
const server = @import("server.zig");
const Request = server.Request;

comptime {
    server.app(handle, startup, shutdown);
}

const routes = std.StaticStringMap(*const fn (*Request) anyerror!void).initComptime(.{
    .{ "/", hello },            .{ "/hello", hello },   .{ "/count", count }, .{ "/echo", echo },
    .{ "/trailers", trailers }, .{ "/stream", stream }, .{ "/sleep", sleep }, .{ "/burn", burn },
    .{ "/trap", trap },         .{ "/env", env },       .{ "/out", out },     .{ "/status", status },
});

fn handle(r: *Request) !void {
    const route = routes.get(r.path()) orelse {
        r.status(404);
        return r.write("not found");
    };
    return route(r);
}

fn startup() ?[:0]const u8 {
    if (std.c.getenv("TESTBED_STARTUP")) |setting| {
        const text = std.mem.span(setting);
        if (std.mem.startsWith(u8, text, "fail:")) return text["fail:".len..];
    }
    server.print("testbed: startup\n", .{});
    return null;
}

fn shutdown() void {
    server.print("testbed: shutdown\n", .{});
}

fn hello(r: *Request) !void {
    try r.write("Hello, world!");
}

var counter: u64 = 0;

fn count(r: *Request) !void {
    counter += 1;
    var buffer: [20]u8 = undefined;
    try r.write(try std.fmt.bufPrint(&buffer, "{d}", .{counter}));
}

fn echo(r: *Request) !void {
    if (r.header("content-type")) |kind| try r.setHeader("content-type", kind);
    var buffer: [16 << 10]u8 = undefined;
    while (true) {
        const bytes = try r.read(&buffer);
        if (bytes.len == 0) return;
        try r.write(bytes);
    }
}

fn trailers(r: *Request) !void {
    try r.setHeader("trailer", "x-trailer");
    try r.write("body");
    try r.setTrailer("x-trailer", "yes");
}

fn stream(r: *Request) !void {
    const allocator = std.heap.c_allocator;
    const chunk = try allocator.alloc(u8, @intCast(r.number("bytes", 1024)));
    defer allocator.free(chunk);
    @memset(chunk, 'x');
    const chunks = r.number("chunks", 0);
    var sent: u64 = 0;
    while (chunks == 0 or sent < chunks) : (sent += 1) {
        try r.write(chunk);
        try r.flush();
        server.sleep(r.number("ms", 0));
    }
}

fn sleep(r: *Request) !void {
    server.sleep(r.number("ms", 0));
    try r.write("slept");
}

fn nowMilliseconds() u64 {
    var now: std.c.timespec = undefined;
    _ = std.c.clock_gettime(.MONOTONIC, &now);
    return @as(u64, @intCast(now.sec)) * 1000 + @as(u64, @intCast(now.nsec)) / 1_000_000;
}

fn burn(r: *Request) !void {
    const end = nowMilliseconds() + r.number("ms", 0);
    while (nowMilliseconds() < end) {}
    try r.write("burned");
}

fn trap(_: *Request) !void {
    @trap();
}

fn env(r: *Request) !void {
    try r.setHeader("content-type", "application/json");
    var buffer: [1024]u8 = undefined;
    var body = r.writer(&buffer);
    var json: std.json.Stringify = .{ .writer = &body.interface };
    try json.beginObject();
    var at = std.c.environ;
    while (at[0]) |entry| : (at += 1) {
        const text = std.mem.span(entry);
        const equals = std.mem.indexOfScalar(u8, text, '=') orelse continue;
        try json.objectField(text[0..equals]);
        try json.write(text[equals + 1 ..]);
    }
    try json.endObject();
    try body.interface.flush();
}

fn out(r: *Request) !void {
    var body: [201]u8 = undefined;
    const answer = server.fetch(r.query("url") orelse "", &body) catch {
        r.status(502);
        return r.write(std.mem.sliceTo(&body, 0));
    };
    var buffer: [256]u8 = undefined;
    try r.write(try std.fmt.bufPrint(&buffer, "status {d}\n{s}", .{ answer.status, answer.body }));
}

fn status(r: *Request) !void {
    r.status(@intCast(r.number("code", 200)));
    try r.write(r.query("body") orelse "");
}
