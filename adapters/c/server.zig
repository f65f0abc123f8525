//! An app of WASI 0.2 in Zig, over server.h.
const std = @import("std");

pub const Request = opaque {
    extern fn request_method(*Request) [*:0]const u8;
    extern fn request_path(*Request) [*:0]const u8;
    extern fn request_query(*Request, [*:0]const u8) ?[*:0]const u8;
    extern fn request_header(*Request, [*:0]const u8) ?[*:0]const u8;
    extern fn request_read(*Request, [*]u8, usize) isize;
    extern fn response_status(*Request, c_int) void;
    extern fn response_header(*Request, [*:0]const u8, [*:0]const u8) bool;
    extern fn response_write(*Request, [*]const u8, usize) bool;
    extern fn response_flush(*Request) bool;
    extern fn response_trailer(*Request, [*:0]const u8, [*:0]const u8) bool;

    /// "GET"
    pub fn method(r: *Request) []const u8 {
        return std.mem.span(request_method(r));
    }

    /// Without the query, not decoded.
    pub fn path(r: *Request) []const u8 {
        return std.mem.span(request_path(r));
    }

    /// A parameter of the query, decoded.
    pub fn query(r: *Request, name: [:0]const u8) ?[:0]const u8 {
        return if (request_query(r, name)) |value| std.mem.span(value) else null;
    }

    /// A parameter of the query as a number.
    pub fn number(r: *Request, name: [:0]const u8, otherwise: u64) u64 {
        return std.fmt.parseInt(u64, r.query(name) orelse return otherwise, 10) catch otherwise;
    }

    /// The first header of that name.
    pub fn header(r: *Request, name: [:0]const u8) ?[:0]const u8 {
        return if (request_header(r, name)) |value| std.mem.span(value) else null;
    }

    /// The next bytes of the body; none at its end.
    pub fn read(r: *Request, buffer: []u8) error{ClientGone}![]u8 {
        const length = request_read(r, buffer.ptr, buffer.len);
        return if (length < 0) error.ClientGone else buffer[0..@intCast(length)];
    }

    /// The status and headers can be set until the first byte is sent.
    pub fn status(r: *Request, code: u16) void {
        response_status(r, code);
    }

    pub fn setHeader(r: *Request, name: [:0]const u8, value: [:0]const u8) error{BadHeader}!void {
        if (!response_header(r, name, value)) return error.BadHeader;
    }

    /// Comes after the body. Announce it in a header Trailer.
    pub fn setTrailer(r: *Request, name: [:0]const u8, value: [:0]const u8) error{BadHeader}!void {
        if (!response_trailer(r, name, value)) return error.BadHeader;
    }

    pub fn write(r: *Request, bytes: []const u8) error{ClientGone}!void {
        if (!response_write(r, bytes.ptr, bytes.len)) return error.ClientGone;
    }

    pub fn flush(r: *Request) error{ClientGone}!void {
        if (!response_flush(r)) return error.ClientGone;
    }

    /// A writer of the response's body. Flush it at the end.
    pub fn writer(r: *Request, buffer: []u8) Writer {
        return .{ .request = r, .interface = .{ .vtable = &.{ .drain = Writer.drain }, .buffer = buffer } };
    }
};

pub const Writer = struct {
    request: *Request,
    interface: std.Io.Writer,

    fn drain(w: *std.Io.Writer, data: []const []const u8, splat: usize) std.Io.Writer.Error!usize {
        const self: *Writer = @alignCast(@fieldParentPtr("interface", w));
        self.request.write(w.buffered()) catch return error.WriteFailed;
        w.end = 0;
        var written: usize = 0;
        for (data, 1..) |bytes, nth| {
            // The last is to be repeated.
            for (0..if (nth == data.len) splat else 1) |_| {
                self.request.write(bytes) catch return error.WriteFailed;
                written += bytes.len;
            }
        }
        return written;
    }
};

extern fn sleep_ms(u64) void;
pub const sleep = sleep_ms;

pub const Answer = struct { status: u16, body: []const u8 };

/// Sends a GET request. The body is what has room in the buffer; after an error the buffer says what failed.
pub fn fetch(url: [:0]const u8, buffer: []u8) error{FetchFailed}!Answer {
    const function = @extern(*const fn ([*:0]const u8, [*]u8, usize) callconv(.c) c_int, .{ .name = "fetch" });
    const code = function(url, buffer.ptr, buffer.len);
    if (code < 0) return error.FetchFailed;
    return .{ .status = @intCast(code), .body = std.mem.sliceTo(buffer, 0) };
}

/// Makes an app of three functions: `handle(*Request) !void`, `startup() ?[:0]const u8` (or why the app cannot
/// start) and `shutdown() void`. An error of handle becomes a 500 if nothing was sent yet.
pub fn app(
    comptime handle: fn (*Request) anyerror!void,
    comptime startup: fn () ?[:0]const u8,
    comptime shutdown: fn () void,
) void {
    const exports = struct {
        fn appHandle(r: *Request) callconv(.c) void {
            handle(r) catch |err| {
                print("error: {s}\n", .{@errorName(err)});
                r.status(500);
                r.write("Internal Server Error") catch {};
            };
        }
        fn appStartup() callconv(.c) ?[*:0]const u8 {
            return if (startup()) |message| message.ptr else null;
        }
        fn appShutdown() callconv(.c) void {
            shutdown();
        }
    };
    @export(&exports.appHandle, .{ .name = "app_handle" });
    @export(&exports.appStartup, .{ .name = "app_startup" });
    @export(&exports.appShutdown, .{ .name = "app_shutdown" });
}

/// Prints to stdout.
pub fn print(comptime format: []const u8, arguments: anytype) void {
    var buffer: [1024]u8 = undefined;
    const text = std.fmt.bufPrint(&buffer, format, arguments) catch &buffer;
    _ = std.c.write(1, text.ptr, text.len);
}
