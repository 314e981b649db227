/* Functions of which no call frame information tells how to unwind them, and functions that fault at a
 * chosen point. */
        .text

        .macro  BEGIN name
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        .endm

        .macro  END name
        .size   \name, . - \name
        .endm

        /* call what is in %rdi, with %rsi */
        .macro  CALL_GIVEN
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        .endm

        .macro  STEPS copy
        /* no frame pointer, no information */
        BEGIN   oracle_nocfi_\copy
        pushq   %rbx
        subq    $0x30, %rsp
        CALL_GIVEN
        addq    $0x30, %rsp
        popq    %rbx
        ret
        END     oracle_nocfi_\copy

        /* a frame pointer, no information */
        BEGIN   oracle_framed_\copy
        pushq   %rbp
        movq    %rsp, %rbp
        subq    $0x40, %rsp
        CALL_GIVEN
        leave
        ret
        END     oracle_framed_\copy

        /* every register that a caller relies on has another value, no information */
        BEGIN   oracle_trashing_\copy
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $0x58, %rsp
        movq    $-1, %rbp
        movq    %rbp, %rbx
        movq    %rbp, %r12
        movq    %rbp, %r13
        movq    %rbp, %r14
        movq    %rbp, %r15
        CALL_GIVEN
        addq    $0x58, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        END     oracle_trashing_\copy

        /* its first instruction faults: the address before it belongs to another function */
        .p2align 4
        BEGIN   oracle_fault_\copy
        .cfi_startproc
        ud2
        ret
        .cfi_endproc
        END     oracle_fault_\copy

        /* the signal comes behind an instruction that ends the prologue */
        BEGIN   oracle_trap_\copy
        .cfi_startproc
        pushq   %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        subq    $0x20, %rsp
        .cfi_def_cfa_offset 48
        int3
        addq    $0x20, %rsp
        .cfi_def_cfa_offset 16
        popq    %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        END     oracle_trap_\copy
        .endm

        STEPS   00
        STEPS   01
        STEPS   02
        STEPS   03

        .macro  WAIT
        movl    $34, %eax
        syscall
        .endm

        BEGIN   oracle_bareleaf_entry
        WAIT
        ret
        END     oracle_bareleaf_entry

        BEGIN   oracle_bareleaf_pushed
        pushq   %rbp
        xorl    %ebp, %ebp
        WAIT
        popq    %rbp
        ret
        END     oracle_bareleaf_pushed

        BEGIN   oracle_bareleaf_framed
        pushq   %rbp
        movq    %rsp, %rbp
        subq    $0x80, %rsp
        WAIT
        leave
        ret
        END     oracle_bareleaf_framed

        /* calls %rdi with the number of the system call `pause` where a patched entry wants it */
        BEGIN   oracle_call_with_34
        .cfi_startproc
        subq    $8, %rsp
        .cfi_def_cfa_offset 16
        movl    $34, %eax
        call    *%rdi
        addq    $8, %rsp
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        END     oracle_call_with_34

        /* the address of a function's entry in the procedure linkage table */
        BEGIN   oracle_entry_of_getppid
        .cfi_startproc
        leaq    getppid@PLT(%rip), %rax
        ret
        .cfi_endproc
        END     oracle_entry_of_getppid

        BEGIN   oracle_entry_of_getpgrp
        .cfi_startproc
        leaq    getpgrp@PLT(%rip), %rax
        ret
        .cfi_endproc
        END     oracle_entry_of_getpgrp

        .section .note.GNU-stack, "", @progbits
