# int without_rules(int (*call)(int), int value): no call frame information describes it.
        .text
        .globl  without_rules
        .type   without_rules, @function
without_rules:
        sub     $72, %rsp
        mov     %rdi, %rax
        mov     %esi, %edi
        call    *%rax
        add     $72, %rsp
        ret
        .size   without_rules, . - without_rules
        .section .note.GNU-stack, "", @progbits
