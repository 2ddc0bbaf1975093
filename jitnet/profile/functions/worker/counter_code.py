"""The code that counts, as LLVM reads it: what a compiled copy calls for each operation and each access."""

__all__ = ["MODULE"]

MODULE = """
@flop = global [{totals} x i64] zeroinitializer
@read = global [{totals} x i64] zeroinitializer
@written = global [{totals} x i64] zeroinitializer
@context = global i64 1
@accesses = global i64 0
@left = global i64 0
@shift = global i64 0
@table = global i64 0
@allocate = global ptr null

declare i64 @llvm.cttz.i64(i64, i1)

define void @add(ptr %counts, i64 %mask, i64 %amount) {{
entry:
    br label %loop
loop:
    %rest = phi i64 [ %mask, %entry ], [ %next, %body ]
    %end = icmp eq i64 %rest, 0
    br i1 %end, label %done, label %body
body:
    %bit = call i64 @llvm.cttz.i64(i64 %rest, i1 true)
    %place = getelementptr i64, ptr %counts, i64 %bit
    %old = load i64, ptr %place
    %new = add i64 %old, %amount
    store i64 %new, ptr %place
    %less = sub i64 %rest, 1
    %next = and i64 %rest, %less
    br label %loop
done:
    ret void
}}

define void @compute(i64 %mask, i64 %amount) {{
    call void @add(ptr @flop, i64 %mask, i64 %amount)
    ret void
}}

define ptr @marks(i64 %address) {{
entry:
    %index = lshr i64 %address, {page}
    %base = load i64, ptr @table
    %bytes = shl i64 %index, 3
    %at = add i64 %base, %bytes
    %place = inttoptr i64 %at to ptr
    %known = load i64, ptr %place
    %missing = icmp eq i64 %known, 0
    br i1 %missing, label %make, label %have
make:
    %allocate = load ptr, ptr @allocate
    %made = call i64 %allocate(i64 %index)
    %full = icmp eq i64 %made, 0
    br i1 %full, label %none, label %have
none:
    ret ptr null
have:
    %page = phi i64 [ %known, %entry ], [ %made, %make ]
    %offset = and i64 %address, {inside}
    %shift = load i64, ptr @shift
    %number = lshr i64 %offset, %shift
    %eight = shl i64 %number, 3
    %word = add i64 %page, %eight
    %pointer = inttoptr i64 %word to ptr
    ret ptr %pointer
}}

define i1 @goes_on() {{
    %left = load i64, ptr @left
    %less = sub i64 %left, 1
    store i64 %less, ptr @left
    %more = icmp sgt i64 %less, 0
    ret i1 %more
}}

define void @read_element(i64 %address, i64 %mask, i64 %size) {{
    %more = call i1 @goes_on()
    br i1 %more, label %look, label %done
look:
    %place = call ptr @marks(i64 %address)
    %none = icmp eq ptr %place, null
    br i1 %none, label %done, label %compare
compare:
    %old = load i64, ptr %place
    %high = lshr i64 %old, 32
    %seen = or i64 %old, %high
    %unseen = xor i64 %seen, -1
    %new = and i64 %mask, %unseen
    %known = icmp eq i64 %new, 0
    br i1 %known, label %done, label %mark
mark:
    %both = or i64 %old, %new
    store i64 %both, ptr %place
    call void @add(ptr @read, i64 %new, i64 %size)
    br label %done
done:
    ret void
}}

define void @write_element(i64 %address, i64 %mask, i64 %size) {{
    %more = call i1 @goes_on()
    br i1 %more, label %look, label %done
look:
    %place = call ptr @marks(i64 %address)
    %none = icmp eq ptr %place, null
    br i1 %none, label %done, label %compare
compare:
    %old = load i64, ptr %place
    %high = lshr i64 %old, 32
    %unseen = xor i64 %high, -1
    %new = and i64 %mask, %unseen
    %known = icmp eq i64 %new, 0
    br i1 %known, label %done, label %mark
mark:
    %shifted = shl i64 %new, 32
    %both = or i64 %old, %shifted
    store i64 %both, ptr %place
    call void @add(ptr @written, i64 %new, i64 %size)
    br label %done
done:
    ret void
}}

define void @many(i64 %writes, i64 %address, i64 %mask, i64 %size, i64 %count) {{
entry:
    br label %loop
loop:
    %done = phi i64 [ 0, %entry ], [ %next, %again ]
    %ends = icmp uge i64 %done, %count
    br i1 %ends, label %end, label %body
body:
    %bytes = mul i64 %done, %size
    %at = add i64 %address, %bytes
    %writing = icmp ne i64 %writes, 0
    br i1 %writing, label %write, label %read
write:
    call void @write_element(i64 %at, i64 %mask, i64 %size)
    br label %again
read:
    call void @read_element(i64 %at, i64 %mask, i64 %size)
    br label %again
again:
    %next = add i64 %done, 1
    br label %loop
end:
    ret void
}}
"""
