const std = @import("std");
const server = @import("server.zig");

comptime {
    server.app(handle, startup, shutdown);
}

// A global belongs to the instance: each has its own, and keeps it from request to request.
var counter: u32 = 0;

fn handle(request: *server.Request) !void {
    if (std.mem.eql(u8, request.path(), "/")) {
        try request.write("Hello, world!\n");
    } else if (std.mem.eql(u8, request.path(), "/count")) {
        counter += 1;
        var buffer: [16]u8 = undefined;
        try request.write(try std.fmt.bufPrint(&buffer, "{d}\n", .{counter}));
    } else {
        request.status(404);
        try request.write("not found\n");
    }
}

/// Null, or why the app cannot start.
fn startup() ?[:0]const u8 {
    server.print("startup\n", .{});
    return null;
}

fn shutdown() void {
    server.print("shutdown\n", .{});
}
